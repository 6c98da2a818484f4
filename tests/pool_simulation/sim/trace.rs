//! Who asks for what, and when.

use super::chance::Chance;
use super::world::World;
use freeway::routing::Task;

/// A client's request, and how long its answer will be.
#[derive(Clone, Debug)]
pub struct Request {
    pub at_ms: u64,
    pub account: usize,
    /// It needs a strong model.
    pub hard: bool,
    pub task: Task,
    /// As the classifier would put it.
    pub difficulty: f32,
    pub prompt: u32,
    pub answer: u32,
    pub tools: bool,
    pub image: bool,
    /// Prompt tokens as inspection would estimate them.
    pub estimate: u32,
}

/// How much is asked for.
#[derive(Clone)]
pub struct Demand {
    /// Requests a minute, on average.
    pub per_minute: f64,
    /// Nights at 40 % of that and afternoons at 160 %; otherwise evenly.
    pub diurnal: bool,
    /// What each account asks for, in relation to the others.
    pub accounts: Vec<f64>,
    pub seed: u64,
}

/// Of the requests so many are easy.
const EASY: f64 = 0.7;
/// Mean tokens of prompt and answer of an easy request and of a hard one.
const TOKENS: [(f64, f64); 2] = [(350.0, 220.0), (1_100.0, 800.0)];
/// No prompt is longer.
const LONGEST: f64 = 30_000.0;
const DAY_MS: f64 = 86_400_000.0;

/// The tokens of a request, on average.
pub fn mean_tokens() -> f64 {
    let of = |(prompt, answer)| prompt + answer;
    EASY * of(TOKENS[0]) + (1.0 - EASY) * of(TOKENS[1])
}

/// All requests of the world's time in order.
pub fn requests(world: &World, demand: &Demand) -> Vec<Request> {
    let mut chance = Chance::of(&[demand.seed, 1]);
    let most = if demand.diurnal { 1.6 } else { 1.0 };
    let apart_ms = 60_000.0 / (demand.per_minute * most);
    let mut at = chance.exponential(apart_ms);
    let mut all = Vec::new();
    while at < world.length_ms as f64 {
        let at_ms = world.start_ms + at as u64;
        if chance.unit() * most < rate(at_ms, demand.diurnal) {
            all.push(request(at_ms, demand, &mut chance));
        }
        at += chance.exponential(apart_ms);
    }
    all
}

/// How much is asked for at a time, as a share of the mean: least at 4 o'clock, most at 16.
fn rate(at_ms: u64, diurnal: bool) -> f64 {
    let hour = (at_ms as f64 % DAY_MS) / DAY_MS;
    if diurnal { 1.0 - 0.6 * (std::f64::consts::TAU * (hour - 4.0 / 24.0)).cos() } else { 1.0 }
}

fn request(at_ms: u64, demand: &Demand, chance: &mut Chance) -> Request {
    let hard = chance.unit() >= EASY;
    let (task, difficulty) = match hard {
        true => (pick(&[Task::Code, Task::Math, Task::Reasoning], chance), chance.between(0.25, 0.60)),
        false => {
            (pick(&[Task::Qa, Task::Chat, Task::Rewriting, Task::Qa], chance), chance.between(0.02, 0.12))
        }
    };
    let (prompt, answer) = TOKENS[usize::from(hard)];
    let prompt = chance.log_normal(prompt, 0.9).clamp(10.0, LONGEST);
    let kind = chance.unit();
    Request {
        at_ms,
        account: account(&demand.accounts, chance),
        hard,
        task,
        difficulty: difficulty as f32,
        prompt: prompt as u32,
        answer: chance.log_normal(answer, 0.6).clamp(5.0, 8_000.0) as u32,
        tools: kind < 0.15,
        image: kind > 0.97,
        estimate: (prompt * chance.between(0.9, 1.15)) as u32,
    }
}

fn pick(tasks: &[Task], chance: &mut Chance) -> Task {
    tasks[(chance.unit() * tasks.len() as f64) as usize]
}

fn account(weights: &[f64], chance: &mut Chance) -> usize {
    let mut left = chance.unit() * weights.iter().sum::<f64>();
    let found = weights.iter().position(|weight| {
        left -= weight;
        left < 0.0
    });
    found.unwrap_or(0)
}
