//! What a decision costs by the length of its prompt: inspecting, classifying, choosing.
//!
//! `cargo bench --no-default-features --bench decision`. Prompts are made of varied words, so that hashing
//! cannot profit from repetition.

use freeway::protocol::inspect::inspect;
use freeway::routing::classify;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Lengths of prompts, bytes; the last is about 128,000 tokens.
const LENGTHS: [usize; 5] = [1_000, 2_000, 32_000, 128_000, 512_000];

/// Prompts of each length, and how often each is measured.
const PROMPTS: usize = 64;
const ROUNDS: usize = 50;

fn main() {
    println!("{:>9}  {:>22}  {:>22}", "bytes", "inspect p50/p99 µs", "classify p50/p99 µs");
    let mut chance = Chance(7);
    for length in LENGTHS {
        let prompts = if length > 100_000 { 4 } else { PROMPTS };
        let bodies: Vec<_> = (0..prompts).map(|_| body(length, &mut chance)).collect();
        let facts: Vec<_> = bodies.iter().map(|body| inspect(body).expect("a request")).collect();
        let mut inspections = Vec::new();
        let mut classifications = Vec::new();
        for _ in 0..ROUNDS {
            for (body, facts) in bodies.iter().zip(&facts) {
                inspections.push(timed(|| _ = black_box(inspect(body))));
                classifications.push(timed(|| _ = black_box(classify(body, &facts.features))));
            }
        }
        println!("{length:>9}  {:>22}  {:>22}", percentiles(inspections), percentiles(classifications));
    }
}

fn timed(what: impl FnOnce()) -> Duration {
    let began = Instant::now();
    what();
    began.elapsed()
}

fn percentiles(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |share: f64| times[(times.len() as f64 * share) as usize].as_secs_f64() * 1e6;
    format!("{:.1} / {:.1}", at(0.5), at(0.99))
}

/// Seeded draws from 0 to below 1 (Knuth's MMIX generator).
struct Chance(u64);

impl Chance {
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// A request whose one message is so long: words of two to nine letters, now and then a number or a new line.
fn body(length: usize, chance: &mut Chance) -> Vec<u8> {
    let mut text = String::from("Explain the following in simple words. ");
    while text.len() < length {
        let letters = 2 + (chance.unit() * 8.0) as usize;
        text.extend((0..letters).map(|_| char::from(b'a' + (chance.unit().powi(2) * 26.0) as u8)));
        let separator = match chance.unit() {
            x if x < 0.03 => ". 42 ",
            x if x < 0.05 => "\n",
            _ => " ",
        };
        text.push_str(separator);
    }
    serde_json::json!({ "messages": [{ "role": "user", "content": text }] }).to_string().into_bytes()
}
