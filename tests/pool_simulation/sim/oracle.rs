//! What a pool could serve at most without breaking a published limit.
//!
//! The oracle knows every request of the time and how long its answer will be, and spends each day's budget
//! when that is needed most. Failures cost it nothing, and any model can answer anything; only while a
//! provider is down its minutes are lost. There are two of them: one that takes requests as they come, long
//! or short, and one that gives short ones to whom tokens limit and refuses whom it likes, which no router
//! that treats its clients alike will reach. Found by weak duality: whatever prices are put on the limits, no
//! more can be answered than all that is for sale is worth, plus what each request gains by being answered
//! at the lowest price it finds, where an answer is worth 1.

use super::trace::{Request, mean_tokens};
use super::window::{Cut, Rule};
use super::world::{ProviderSpec, World};
use freeway::catalog::{LimitScope, Period, Unit};

/// Prices are the same for so long, which lets the oracle shift load within it.
const BLOCK_MS: u64 = 5 * 60_000;
/// Rounds of looking for better prices.
const ROUNDS: u32 = 240;
/// Requests of a block are told apart by length this finely while prices are looked for.
const SIZES: usize = 12;

/// Limits that are sold together: of a model, a key or an account, for all keys.
pub struct Stall {
    /// For each block what there is of requests and of tokens.
    supply: Vec<[f64; 2]>,
    /// What refills may be saved up: a bucket's whole size.
    saved: [f64; 2],
    /// For each day what there is of requests and of tokens.
    days: Vec<[f64; 2]>,
    /// Which of the days a block is in.
    day_of: Vec<usize>,
}

/// All that is for sale.
pub struct Market {
    start_ms: u64,
    blocks: usize,
    stalls: Vec<Stall>,
}

const UNITS: [Unit; 2] = [Unit::Requests, Unit::Tokens];
const NONE: f64 = f64::INFINITY;

impl Market {
    pub fn of(world: &World) -> Self {
        let mut stalls = Vec::new();
        for provider in &world.providers {
            let shared: Vec<_> = provider.rules.iter().collect();
            match shared.first().map(|rule| rule.scope) {
                None => {
                    let models = provider.models.iter();
                    let rules = models.map(|model| model.rules.iter().collect::<Vec<_>>());
                    stalls.extend(rules.map(|rules| Stall::of(&rules, provider.keys, provider, world)));
                }
                Some(LimitScope::Account) => stalls.push(Stall::of(&shared, 1, provider, world)),
                Some(_) => stalls.push(Stall::of(&shared, provider.keys, provider, world)),
            }
        }
        let blocks = world.length_ms.div_ceil(BLOCK_MS) as usize;
        Self { start_ms: world.start_ms, blocks, stalls }
    }

    /// Requests of mean length a minute on average, with every budget used up: a load of 1.
    pub fn per_minute(&self) -> f64 {
        let minutes = self.blocks as f64 * (BLOCK_MS / 60_000) as f64;
        self.stalls.iter().map(Stall::nominal).sum::<f64>() / minutes
    }

    /// How many of these requests can be answered, none later than so long after it came: by whoever takes
    /// them as they come, for which each counts as one of mean length; and by whoever may choose among them
    /// by length.
    pub fn serve(&self, requests: &[Request], patience_ms: u64) -> [f64; 2] {
        let mean = mean_tokens() as u32;
        let alike = |request: &Request| Request { prompt: mean, answer: 0, ..request.clone() };
        let alike: Vec<_> = requests.iter().map(alike).collect();
        let most = self.bound(requests, patience_ms);
        [self.bound(&alike, patience_ms).min(most), most]
    }

    fn bound(&self, requests: &[Request], patience_ms: u64) -> f64 {
        let crowd = Crowd::of(self, requests);
        let mut prices = Prices::start(self);
        let mut mean = prices.clone();
        let mut best = requests.len() as f64;
        for round in 0..ROUNDS {
            let step = 0.25 / (1.0 + f64::from(round) / 12.0);
            prices.step(self, &crowd, step);
            mean.blend(&prices, 1.0 / (1.0 + f64::from(round % 80)));
            if round % 80 == 79 {
                best = best.min(mean.value(self, requests, patience_ms));
            }
        }
        best
    }
}

impl Stall {
    fn of(rules: &[&Rule], keys: usize, provider: &ProviderSpec, world: &World) -> Self {
        let blocks = world.length_ms.div_ceil(BLOCK_MS) as usize;
        let is_day = |rule: &Rule| rule.per.seconds() >= Period::Day.seconds();
        let at = |block: usize| world.start_ms + block as u64 * BLOCK_MS;
        let hour = rules.iter().find_map(|rule| match rule.cut {
            Cut::Midnight { utc_h } => Some(utc_h),
            _ => None,
        });
        let day = |block| hour.map_or(0, |h| ((at(block) - h * 3_600_000) / 86_400_000) as usize);
        let keys = keys as f64;
        let mut stall = Self {
            supply: vec![[NONE; 2]; blocks],
            saved: [0.0; 2],
            days: vec![[NONE; 2]; day(blocks - 1) - day(0) + 1],
            day_of: (0..blocks).map(|block| day(block) - day(0)).collect(),
        };
        for (unit, rule) in
            rules.iter().flat_map(|r| (0..2).filter(|u| UNITS[*u] == r.unit).map(move |u| (u, r)))
        {
            let amount = rule.amount as f64 * keys;
            if is_day(rule) {
                stall.days.iter_mut().for_each(|day| day[unit] = day[unit].min(amount));
                let used = |at_ms| rule.used_at(at_ms) * keys;
                stall.days[0][unit] -= used(world.start_ms);
                // A day that goes on is left as it was found: with what an even spender would have left.
                if let Some(last) = stall.days.last_mut().filter(|_| used(world.start_ms) > 0.0) {
                    last[unit] = last[unit].min(used(world.start_ms + world.length_ms));
                }
                continue;
            }
            let whole = amount * BLOCK_MS as f64 / rule.length_ms() as f64;
            for (block, supply) in stall.supply.iter_mut().enumerate() {
                supply[unit] = supply[unit].min(whole * up(provider, at(block)));
            }
            stall.saved[unit] = if rule.cut == Cut::Bucket { amount } else { stall.saved[unit] };
        }
        stall
    }

    /// Requests of mean length in the whole time.
    fn nominal(&self) -> f64 {
        let requests = |[requests, tokens]: &[f64; 2]| requests.min(tokens / mean_tokens());
        let by_minute: f64 = self.supply.iter().map(requests).sum();
        by_minute.min(self.days.iter().map(requests).sum())
    }
}

/// The share of a block in which a provider is up.
fn up(provider: &ProviderSpec, from_ms: u64) -> f64 {
    provider.down.map_or(1.0, |down| {
        let lost = down.to_ms.min(from_ms + BLOCK_MS).saturating_sub(down.from_ms.max(from_ms));
        1.0 - lost as f64 / BLOCK_MS as f64
    })
}

/// The requests of each block by length: how many, and their tokens.
struct Crowd(Vec<Vec<(f64, f64)>>);

impl Crowd {
    fn of(market: &Market, requests: &[Request]) -> Self {
        let mut lengths = vec![Vec::new(); market.blocks];
        for request in requests {
            lengths[market.block(request.at_ms)].push(tokens(request));
        }
        let classes = lengths.into_iter().map(|mut all: Vec<f64>| {
            all.sort_unstable_by(f64::total_cmp);
            let class = |part: &[f64]| (part.len() as f64, part.iter().sum::<f64>() / part.len() as f64);
            all.chunks(all.len().div_ceil(SIZES).max(1)).map(class).collect()
        });
        Self(classes.collect())
    }
}

impl Market {
    fn block(&self, at_ms: u64) -> usize {
        (((at_ms - self.start_ms) / BLOCK_MS) as usize).min(self.blocks - 1)
    }
}

fn tokens(request: &Request) -> f64 {
    f64::from(request.prompt + request.answer)
}

/// What requests and tokens cost at each stall: by the block, and by the day. Tokens are priced by the mean
/// request's.
#[derive(Clone)]
struct Prices {
    minute: Vec<Vec<[f64; 2]>>,
    day: Vec<Vec<[f64; 2]>>,
}

impl Prices {
    fn start(market: &Market) -> Self {
        // What there is none of cannot be had at any price.
        let price = |amount| {
            if amount == 0.0 {
                2.0
            } else if amount < NONE {
                0.3
            } else {
                0.0
            }
        };
        let priced = |there: &[f64; 2]| there.map(price);
        let all = |there: &Vec<[f64; 2]>| there.iter().map(priced).collect();
        Self {
            minute: market.stalls.iter().map(|stall| all(&stall.supply)).collect(),
            day: market.stalls.iter().map(|stall| all(&stall.days)).collect(),
        }
    }

    /// What a request costs at a stall: a fixed part, and one by its tokens.
    fn at(&self, market: &Market, stall: usize, block: usize) -> [f64; 2] {
        let (minute, day) = (self.minute[stall][block], self.day[stall][market.stalls[stall].day_of[block]]);
        [minute[0] + day[0], (minute[1] + day[1]) / mean_tokens()]
    }

    /// Raises the price of what is wanted more than there is, and lowers the others'.
    fn step(&mut self, market: &Market, crowd: &Crowd, step: f64) {
        let mut sold_by_day: Vec<_> = market.stalls.iter().map(|s| vec![[0.0; 2]; s.days.len()]).collect();
        for block in 0..market.blocks {
            let sold = self.sold(market, block, &crowd.0[block]);
            for (stall, sold) in sold.into_iter().enumerate() {
                let there = &market.stalls[stall];
                for (unit, sold) in sold.into_iter().enumerate() {
                    sold_by_day[stall][there.day_of[block]][unit] += sold;
                    nudge(&mut self.minute[stall][block][unit], sold, there.supply[block][unit], step);
                }
            }
        }
        for (stall, sold) in sold_by_day.iter().enumerate() {
            for (day, sold) in sold.iter().enumerate() {
                for (unit, sold) in sold.iter().enumerate() {
                    let there = market.stalls[stall].days[day][unit];
                    nudge(&mut self.day[stall][day][unit], *sold, there, step);
                }
            }
        }
    }

    /// What each stall sells in a block. Nearly equal prices share the demand, which lets them settle.
    fn sold(&self, market: &Market, block: usize, crowd: &[(f64, f64)]) -> Vec<[f64; 2]> {
        const SHARPNESS: f64 = 40.0;
        let prices: Vec<_> = (0..market.stalls.len()).map(|stall| self.at(market, stall, block)).collect();
        let mut sold = vec![[0.0; 2]; prices.len()];
        for (count, tokens) in crowd {
            let open = |stall: usize| f64::from(u8::from(market.stalls[stall].supply[block][0] > 0.0));
            let weight = |stall: usize| {
                let [fixed, each] = prices[stall];
                open(stall) * (SHARPNESS * (1.0 - fixed - each * tokens).min(1.0)).exp()
            };
            let weights: Vec<_> = (0..prices.len()).map(weight).collect();
            // Not to be answered costs nothing and gains nothing.
            let all = 1.0 + weights.iter().sum::<f64>();
            for (sold, weight) in sold.iter_mut().zip(weights) {
                sold[0] += count * weight / all;
                sold[1] += count * tokens * weight / all;
            }
        }
        sold
    }

    fn blend(&mut self, other: &Self, share: f64) {
        for (mine, theirs) in [(&mut self.minute, &other.minute), (&mut self.day, &other.day)] {
            for (mine, theirs) in mine.iter_mut().flatten().flatten().zip(theirs.iter().flatten().flatten()) {
                *mine += (theirs - *mine) * share;
            }
        }
    }

    /// The bound these prices prove.
    fn value(&self, market: &Market, requests: &[Request], patience_ms: u64) -> f64 {
        let stalls = (0..market.stalls.len()).map(|stall| self.worth(market, stall));
        let gain = |request: &Request| {
            let blocks = [request.at_ms, request.at_ms + patience_ms].map(|at_ms| market.block(at_ms));
            let costs = blocks.into_iter().flat_map(|block| {
                (0..market.stalls.len()).map(move |stall| {
                    let [fixed, each] = self.at(market, stall, block);
                    fixed + each * tokens(request)
                })
            });
            (1.0 - costs.fold(NONE, f64::min)).max(0.0)
        };
        stalls.sum::<f64>() + requests.iter().map(gain).sum::<f64>()
    }

    /// What all that a stall has is worth. What a bucket saves is sold where the price has risen.
    fn worth(&self, market: &Market, stall: usize) -> f64 {
        let there = &market.stalls[stall];
        let scale = [1.0, mean_tokens()];
        let mut worth = 0.0;
        for unit in 0..2 {
            let mut before = 0.0;
            for (price, supply) in self.minute[stall].iter().map(|p| p[unit]).zip(&there.supply) {
                let saved = there.saved[unit] * f64::max(price - before, 0.0);
                worth += (times(price, supply[unit]) + saved) / scale[unit];
                before = price;
            }
            let days = self.day[stall].iter().zip(&there.days);
            worth += days.map(|(price, there)| times(price[unit], there[unit])).sum::<f64>() / scale[unit];
        }
        worth
    }
}

/// What costs nothing is worth nothing, however much there is.
fn times(price: f64, amount: f64) -> f64 {
    if price > 0.0 { price * amount } else { 0.0 }
}

fn nudge(price: &mut f64, sold: f64, there: f64, step: f64) {
    if there < NONE {
        let over = ((sold - there) / there.max(1.0)).clamp(-1.0, 1.0);
        *price = (*price + step * over).clamp(0.0, 2.0);
    }
}
