//! How many prompts are answered correctly, where the strong models are scarce.
//!
//! `cargo bench --no-default-features --bench choice -- --data DIR`: the folder of the routing data, of which
//! `train.jsonl.gz` trains a classifier and `dev.jsonl.gz` says which model answered which prompt correctly. The
//! prompts come evenly over a day to a pool of all models of one source; the two that are strongest by what is
//! published of them have a quota for the day. Everybody has the same quota: Freeway (the real choice, with real
//! quotas over virtual time), a random choice among those with room, the strongest with room, and an oracle that
//! knows who is correct.

use flate2::read::MultiGzDecoder;
use freeway::catalog::{Catalog, Endpoint, Limit, LimitScope, Model, Period, Provider, Quotas, Secret, Task};
use freeway::protocol::inspect::inspect;
use freeway::routing::Policy;
use freeway::snapshot::{Ask, Snapshot};
use freeway::training::{Row, Trained, train};
use freeway::upstream::{Outcome, Pool};
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Sources that know every model's outcome, and the quota of the scarce ones together, as shares of the prompts.
const POOLS: [&str; 3] = ["llmrouter", "routerbench", "mmlu_pro"];
const QUOTAS: [f64; 3] = [0.1, 0.2, 0.4];
const SCARCE: usize = 2;

const DAY_MS: u64 = 86_400_000;
/// Midnight, in Unix milliseconds.
const MIDNIGHT: u64 = 1_767_225_600_000;

#[derive(Deserialize)]
struct Known {
    prompt: String,
    source: String,
    #[serde(default)]
    scores: HashMap<String, f32>,
}

fn main() {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--data").skip(1);
    let Some(data) = arguments.next().map(PathBuf::from) else {
        println!("choice: needs `-- --data DIR`, see conf/classifier/CARD.md");
        return;
    };
    let mut rows: Vec<Row> = read(&data.join("train.jsonl.gz"));
    for name in std::fs::read_dir("conf/classifier/prompts").expect("the project's prompts") {
        rows.extend(read::<Row>(&name.expect("a file").path()));
    }
    let trained = train(rows);
    let known: Vec<Known> = read(&data.join("dev.jsonl.gz"));
    println!(
        "| pool | prompts | models | quota | random % | strongest first % | Freeway % | for quality alone % | oracle % | of the gap | for quality alone |"
    );
    println!("|{}", "---|".repeat(11));
    for source in POOLS {
        let pool = Models::of(&known, source);
        for quota in QUOTAS {
            pool.compare(&trained, source, quota);
        }
    }
}

fn read<T: for<'a> Deserialize<'a>>(path: &Path) -> Vec<T> {
    let file = File::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let packed = path.extension().is_some_and(|extension| extension == "gz");
    let reader: Box<dyn BufRead> = if packed {
        Box::new(BufReader::new(MultiGzDecoder::new(file)))
    } else {
        Box::new(BufReader::new(file))
    };
    let row = |line: std::io::Result<String>| serde_json::from_str(&line.expect("a line")).expect("a row");
    reader.lines().map(row).collect()
}

/// The models of one source, and who is correct about what.
struct Models<'a> {
    names: Vec<&'a str>,
    /// From the strongest by what is published.
    strongest: Vec<usize>,
    prompts: Vec<(&'a str, Vec<f32>)>,
}

impl<'a> Models<'a> {
    fn of(known: &'a [Known], source: &str) -> Self {
        let rows: Vec<&Known> = known.iter().filter(|row| row.source == source).collect();
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for name in rows.iter().flat_map(|row| row.scores.keys()) {
            *counts.entry(name).or_default() += 1;
        }
        // A few rows lack most models: the models that nearly all have, and the rows that have them all.
        let names: Vec<&str> = counts
            .into_iter()
            .filter(|(_, count)| *count * 100 >= rows.len() * 98)
            .map(|(name, _)| name)
            .collect();
        let outcomes = |row: &&'a Known| {
            let scores: Option<Vec<f32>> = names.iter().map(|name| row.scores.get(*name).copied()).collect();
            Some((row.prompt.as_str(), scores?))
        };
        let prompts = rows.iter().filter_map(outcomes).collect();
        let catalog = catalog(&names, &[], 0);
        let mut strongest: Vec<usize> = (0..names.len()).collect();
        let strength = |at: &usize| {
            Task::ALL.iter().map(|task| catalog.endpoints[*at].model.strength(*task)).sum::<f32>()
        };
        strongest.sort_by(|a, b| strength(b).total_cmp(&strength(a)));
        Self { names, strongest, prompts }
    }

    fn compare(&self, trained: &Trained, source: &str, share: f64) {
        let scarce = &self.strongest[..SCARCE];
        let each = (self.prompts.len() as f64 * share / SCARCE as f64).ceil() as u32;
        let mean = |sum: f32| sum / self.prompts.len() as f32 * 100.0;
        let random = mean((0..20).map(|seed| self.simple(scarce, each, Some(seed))).sum::<f32>() / 20.0);
        let strongest = mean(self.simple(scarce, each, None));
        let freeway = mean(self.freeway(trained, 0.5, scarce, each));
        let best = mean(self.freeway(trained, 1.0, scarce, each));
        let oracle = mean(self.oracle(scarce, each));
        println!(
            "| {source} | {} | {} | {:.0} % | {random:.1} | {strongest:.1} | {freeway:.1} | {best:.1} | {oracle:.1} | {:.0} % | {:.0} % |",
            self.prompts.len(),
            self.names.len(),
            share * 100.0,
            (freeway - random) / (oracle - random) * 100.0,
            (best - random) / (oracle - random) * 100.0
        );
    }

    /// The strongest with room, or with a seed any.
    fn simple(&self, scarce: &[usize], each: u32, seed: Option<u64>) -> f32 {
        let mut used = vec![0; self.names.len()];
        let mut state = seed.unwrap_or_default().wrapping_mul(2_654_435_761).wrapping_add(1);
        let mut correct = 0.0;
        for (_, outcomes) in &self.prompts {
            let open = |at: &&usize| !scarce.contains(at) || used[**at] < each;
            let open: Vec<usize> = self.strongest.iter().filter(open).copied().collect();
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let chosen = if seed.is_some() { open[(state >> 33) as usize % open.len()] } else { open[0] };
            used[chosen] += 1;
            correct += outcomes[chosen];
        }
        correct
    }

    /// Whoever is best among the plentiful; a scarce one only where it is better by most.
    fn oracle(&self, scarce: &[usize], each: u32) -> f32 {
        let plentiful = |outcomes: &[f32]| {
            let at = (0..outcomes.len()).filter(|at| !scarce.contains(at));
            at.map(|at| outcomes[at]).fold(0.0, f32::max)
        };
        let mut gains: Vec<(f32, usize)> = Vec::new();
        for (_, outcomes) in &self.prompts {
            let best = scarce
                .iter()
                .copied()
                .max_by(|a, b| outcomes[*a].total_cmp(&outcomes[*b]))
                .unwrap_or_default();
            gains.push((outcomes[best] - plentiful(outcomes), best));
        }
        gains.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut used = vec![0; self.names.len()];
        let base: f32 = self.prompts.iter().map(|(_, outcomes)| plentiful(outcomes)).sum();
        let mut gained = 0.0;
        for (gain, best) in gains.into_iter().filter(|(gain, _)| *gain > 0.0) {
            if used[best] < each {
                used[best] += 1;
                gained += gain;
            }
        }
        base + gained
    }

    /// The real choice, with its quotas, over a day.
    fn freeway(&self, trained: &Trained, quality: f32, scarce: &[usize], each: u32) -> f32 {
        let snapshot = Snapshot::new(catalog(&self.names, scarce, each), &Pool::new());
        let policy = Policy { quality, ..Policy::default() };
        let mut correct = 0.0;
        for (at, (prompt, outcomes)) in self.prompts.iter().enumerate() {
            let now_ms = MIDNIGHT + DAY_MS * at as u64 / self.prompts.len() as u64;
            let chat = serde_json::json!({ "messages": [{ "role": "user", "content": prompt }] });
            let body = chat.to_string().into_bytes();
            let facts = inspect(&body).expect("a request");
            let classification = trained.classify(&body, &facts.features).expect("new weights");
            let ask = Ask {
                facts: &facts,
                classification,
                policy: &policy,
                seed: at as u64,
                last_chance: true,
                remembered: None,
            };
            let mut begun = snapshot.choose(&ask, now_ms).expect("somebody is always open");
            correct += outcomes[begun.position];
            let tokens = classification.output_tokens;
            begun.guard.sent();
            let duration_ms = 500 + tokens * 1000 / 60;
            begun.guard.answered(facts.requirements.prompt_tokens, tokens, now_ms + 2_000);
            begun.guard.observe(Outcome::Success { ttft_ms: Some(500), tokens, duration_ms }, now_ms + 2_000);
        }
        correct
    }
}

/// One endpoint a model, in their order; so many requests a day for those that are scarce.
fn catalog(names: &[&str], scarce: &[usize], each: u32) -> Catalog {
    let endpoint = |(at, name): (usize, &&str)| {
        let limit = Limit {
            scope: LimitScope::Model,
            per: Period::Day,
            requests: Some(each.into()),
            tokens: None,
            window: None,
            pattern: None,
        };
        let limits = if scarce.contains(&at) { vec![limit] } else { Vec::new() };
        let quotas = Quotas { limits, ..Quotas::default() };
        let base = "https://api.example.com/v1".parse().expect("a base URL");
        let keys = Secret::new("key").into_iter().collect();
        let provider = Provider { quotas, keys, ..Provider::new(&format!("p{at:02}"), base) };
        let model = Model { id: (*name).to_owned(), ..Model::default() };
        Endpoint::new(Arc::new(provider), model, (*name).to_owned())
    };
    Catalog::new(names.iter().enumerate().map(endpoint).collect())
}
