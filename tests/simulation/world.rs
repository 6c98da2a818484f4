//! A world of accounts and processes, moved step by step by the numbers of one seed.

mod changes;
mod requests;

use crate::backing::Backing;
use crate::checks;
use crate::faults::Fault;
use crate::process::{Process, Request, Stage};
use freeway::accounts::{AccountId, ApiKey, KeyId, Rules};
use freeway::metrics::{LedgerMetrics, Metrics};
use freeway::money::MicroCredits;
use freeway::store::Reader;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

/// Processes that live at one time, at most.
const PROCESSES: usize = 3;
const STEPS: usize = 120;
const DAY_MS: u64 = 86_400_000;
/// Shortly before midnight of a day in 2026.
const START_MS: u64 = 20_500 * DAY_MS - 300_000;

pub(crate) struct World {
    pub(crate) rules: Rules,
    pub(crate) processes: [Option<Process>; PROCESSES],
    pub(crate) account_ids: Vec<AccountId>,
    pub(crate) answers: BTreeMap<String, Answer>,
    /// By reference: whose, how much, and whether it is known to be credited.
    pub(crate) top_ups: BTreeMap<String, (AccountId, i64, bool)>,
    /// Requests admitted of a funded account on a day.
    pub(crate) admitted: BTreeMap<(AccountId, u32), i64>,
    pub(crate) trace: String,
    rng: fastrand::Rng,
    backing: Backing,
    reader: Box<dyn Reader>,
    metrics: LedgerMetrics,
    keys: Vec<SimKey>,
    now_ms: u64,
    /// Nothing fails, and there is one process: what is refused is truly not to be had.
    calm: bool,
    lies: bool,
    /// Everything is set up: from now on things may fail.
    ready: bool,
    writing: bool,
    requests: u32,
}

struct SimKey {
    id: KeyId,
    account: AccountId,
    key: ApiKey,
    has_cap: bool,
}

/// An answer that was posted.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) account: AccountId,
    pub(crate) due: i64,
    /// What its client was told, once its end went out.
    pub(crate) told: Option<i64>,
    /// Its process ended in good order.
    pub(crate) is_certain: bool,
    /// A cap or an earlier charge may make it cheaper.
    pub(crate) may_be_less: bool,
    pub(crate) idempotency: Option<[u8; 32]>,
}

/// What a seed came to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Summary {
    pub(crate) admitted: u64,
    pub(crate) told: u64,
    pub(crate) crashes: u64,
    pub(crate) refused: u64,
}

thread_local! {
    static METRICS: LedgerMetrics = Metrics::new().expect("names differ").ledger;
}

impl World {
    pub(crate) fn new(seed: u64, backing: Backing, lies: bool) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut rules = Rules::default();
        rules.tiers.funded_above = MicroCredits::new(pick(&mut rng, &[0, 50_000_000, 1_000_000_000]));
        rules.tiers.funded.per_day = pick(&mut rng, &[None, Some(3), Some(12), Some(40)]);
        rules.tiers.free.per_day = pick(&mut rng, &[None, None, Some(5)]);
        rules.max_open = pick(&mut rng, &[2, 20, 20_000]);
        let calm = !lies && rng.u8(..5) == 0;
        let reader = backing.reader();
        Self {
            rules,
            processes: Default::default(),
            account_ids: Vec::new(),
            answers: BTreeMap::new(),
            top_ups: BTreeMap::new(),
            admitted: BTreeMap::new(),
            trace: String::new(),
            rng,
            backing,
            reader,
            metrics: METRICS.with(Clone::clone),
            keys: Vec::new(),
            now_ms: START_MS,
            calm,
            lies,
            ready: false,
            writing: false,
            requests: 0,
        }
    }

    /// Lives through all steps, then ends in good order.
    pub(crate) async fn run(&mut self) -> Result<Summary, String> {
        let mut summary = Summary::default();
        self.start(0);
        self.populate().await;
        self.ready = true;
        for _ in 0..STEPS {
            self.step(&mut summary).await?;
            self.check()?;
        }
        self.end().await?;
        summary.told = self.answers.values().filter(|answer| answer.told.is_some()).count() as u64;
        Ok(summary)
    }

    fn check(&mut self) -> Result<(), String> {
        let view = self.backing.view(&mut *self.reader, &self.account_ids);
        checks::check(self, &view)
    }

    fn note(&mut self, words: std::fmt::Arguments<'_>) {
        let _ = writeln!(self.trace, "{words}");
    }

    async fn step(&mut self, summary: &mut Summary) -> Result<(), String> {
        let Some(at) = self.some_process() else {
            self.start(0);
            return Ok(());
        };
        match self.rng.u8(..100) {
            0..30 => self.ask(at, summary).await?,
            30..58 => self.commit(at, summary)?,
            58..80 => self.answer(at),
            80..82 => self.leave(at),
            82..85 => self.turn_the_clock(),
            85..86 => self.lose_patience(summary).await?,
            86..91 => self.pay(at).await,
            91..92 => self.change_keys(at).await,
            92..93 => self.reap(at),
            93..95 => self.look_around(at).await,
            95..96 => self.retire(at),
            96..98 => self.start_another(),
            98 => self.crash(at, summary),
            _ => self.close(at, summary).await?,
        }
        Ok(())
    }

    fn some_process(&mut self) -> Option<usize> {
        let alive: Vec<usize> = (0..PROCESSES).filter(|at| self.processes[*at].is_some()).collect();
        (!alive.is_empty()).then(|| alive[self.rng.usize(..alive.len())])
    }

    fn process(&mut self, at: usize) -> &mut Process {
        self.processes[at].as_mut().expect("it lives")
    }

    fn start(&mut self, at: usize) {
        // Clocks differ by less than a day.
        let ahead_ms = if self.calm { 0 } else { self.rng.u64(..DAY_MS / 2) };
        let process = Process::start(&self.backing, self.rules.clone(), self.metrics.clone(), ahead_ms);
        self.processes[at] = Some(process);
        self.note(format_args!("process {at} starts"));
    }

    fn start_another(&mut self) {
        if let Some(at) = (0..PROCESSES).find(|at| self.processes[*at].is_none() && !self.calm) {
            self.start(at);
        }
    }

    /// The writer of a process commits what is waiting.
    fn commit(&mut self, at: usize, summary: &mut Summary) -> Result<(), String> {
        let fault = match self.rng.u8(..100) {
            _ if self.calm || !self.ready => None,
            0..6 => Some(Fault::Refused),
            6..9 => Some(Fault::Unheard),
            9..12 => Some(Fault::Repeated),
            12..15 if self.lies => Some(Fault::Lost),
            _ => None,
        };
        self.commit_with(at, fault, summary)
    }

    fn commit_with(&mut self, at: usize, fault: Option<Fault>, summary: &mut Summary) -> Result<(), String> {
        let accounts = self.account_ids.clone();
        let process = self.process(at);
        if fault == Some(Fault::Unheard) {
            // Which leases it was about is not told.
            process.in_doubt.extend(accounts);
        }
        process.faults.set(fault);
        let (waiting, done) = (process.writer.waiting(), process.writer.step());
        process.faults.set(None);
        process.unsettled();
        self.note(format_args!(
            "process {at} commits {waiting}: {}, {fault:?}",
            if done { "done" } else { "failed" }
        ));
        // As the runtime would, at once.
        self.move_on(at, summary)
    }

    fn turn_the_clock(&mut self) {
        let steps = [1, 1_000, 40_000, 400_000, DAY_MS / 4, DAY_MS, 3 * DAY_MS];
        // Nobody waits for a lease for hours.
        let waits = |process: &Process| {
            let admitting = |request: &Request| matches!(request.stage, Stage::Admitting(_));
            process.writer.waiting() > 0 || process.requests.iter().any(admitting)
        };
        let most = if self.processes.iter().flatten().any(waits) { 4 } else { steps.len() };
        let step_ms = pick(&mut self.rng, &steps[..most]);
        // Backwards by less than a day.
        if self.rng.u8(..4) == 0 && step_ms < DAY_MS && !self.calm {
            self.now_ms -= step_ms;
        } else {
            self.now_ms += step_ms;
        }
        self.note(format_args!("it is {} now", self.now_ms as i64 - START_MS as i64));
    }

    /// Time goes by for everything that waits.
    async fn lose_patience(&mut self, summary: &mut Summary) -> Result<(), String> {
        if self.calm {
            return Ok(());
        }
        tokio::time::advance(Duration::from_secs(self.rng.u64(1..7))).await;
        self.note(format_args!("seconds go by"));
        for at in 0..PROCESSES {
            if self.processes[at].is_some() {
                self.move_on(at, summary)?;
            }
        }
        Ok(())
    }

    fn reap(&mut self, at: usize) {
        let reaped = self.process(at).writer.reap().expect("nothing fails");
        self.note(format_args!("process {at} returns {reaped} leases of dead processes"));
    }

    /// What a process does now and then.
    async fn look_around(&mut self, at: usize) {
        let world_ms = self.now_ms;
        let process = self.process(at);
        process.ledger.notice_changes().await.expect("nothing fails");
        let now_ms = process.now_ms(world_ms);
        if process.ledger.is_retiring() {
            process.ledger.retire();
        } else {
            process.ledger.return_idle(now_ms);
        }
        process.ledger.observe();
        self.note(format_args!("process {at} looks around"));
    }

    fn retire(&mut self, at: usize) {
        self.process(at).ledger.retire();
        self.note(format_args!("process {at} retires"));
    }

    fn crash(&mut self, at: usize, summary: &mut Summary) {
        if self.calm {
            return;
        }
        summary.crashes += 1;
        let mut process = self.processes[at].take().expect("it lives");
        // Their places among the day's requests are free again with the leases.
        for place in process.unsettled() {
            *self.admitted.entry(place).or_default() -= 1;
        }
        process.crash(&self.backing);
        self.note(format_args!("process {at} crashes"));
    }

    /// A process ends in good order: it lets its requests end, and commits all there is.
    async fn close(&mut self, at: usize, summary: &mut Summary) -> Result<(), String> {
        self.retire(at);
        while self.process(at).requests.iter().any(|request| matches!(request.stage, Stage::Open(..))) {
            self.answer(at);
        }
        while self.process(at).writer.waiting() > 0 {
            self.commit(at, summary)?;
        }
        self.process(at).requests.retain(|request| !matches!(request.stage, Stage::Admitting(_)));
        // What was admitted by the last commits is given up.
        self.process(at).requests.clear();
        // What a failed commit could not return is returned by the next.
        while !self.process(at).ledger.close(Duration::ZERO) {
            self.commit(at, summary)?;
        }
        self.check()?;
        let process = self.processes[at].take().expect("it lives");
        for id in process.posted {
            self.answers.get_mut(&id).expect("posted before").is_certain = true;
        }
        self.note(format_args!("process {at} ends"));
        Ok(())
    }

    /// All processes end, and a last one looks what they have left.
    async fn end(&mut self) -> Result<(), String> {
        let mut summary = Summary::default();
        for at in 0..PROCESSES {
            if self.processes[at].is_some() {
                self.close(at, &mut summary).await?;
                self.check()?;
            }
        }
        self.start(0);
        self.reap(0);
        self.check()?;
        let view = self.backing.view(&mut *self.reader, &self.account_ids);
        if let Some(account) = view.accounts.iter().find(|account| account.leased.get() != 0) {
            return Err(format!("{} of {} is leased to nobody", account.leased.get(), account.id));
        }
        let verified = self.reader.verify(&mut |_| ()).expect("it can be read");
        match verified.discrepancies.first() {
            Some(discrepancy) => Err(format!("{discrepancy:?}")),
            None => Ok(()),
        }
    }
}

pub(crate) fn pick<T: Copy>(rng: &mut fastrand::Rng, from: &[T]) -> T {
    from[rng.usize(..from.len())]
}
