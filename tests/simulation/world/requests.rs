//! Requests, from their admission to their end.

use super::{Answer, DAY_MS, Summary, World, pick};
use crate::process::{Request, Stage, poll};
use freeway::accounts::{Refused, Worst};
use freeway::ledger::{Held, NotAdmitted, day_of};
use freeway::money::MicroCredits;
use freeway::protocol::usage::{Usage, UsageSource};
use freeway::store::{Charge, Ended, Idempotency, Settled};

impl World {
    pub(super) async fn ask(&mut self, at: usize, summary: &mut Summary) -> Result<(), String> {
        let (key, world_ms) = (self.rng.usize(..self.keys.len()), self.now_ms);
        let longest = pick(&mut self.rng, &[50, 5_000, 60_000]);
        let prompt = self.rng.u32(..longest);
        let explicit = pick(&mut self.rng, &[None, Some(1), Some(200), Some(30_000)]);
        let choices = pick(&mut self.rng, &[1, 1, 4]);
        let worst =
            Worst::new(self.rules.price, prompt, choices, explicit, self.rules.default_max_output_tokens);
        let idempotency = (self.rng.u8(..8) == 0).then(|| [self.rng.u8(..3); 32]);
        self.requests += 1;
        let id = format!("gen-{}", self.requests);
        let key = &self.keys[key];
        let process = self.processes[at].as_mut().expect("it lives");
        let now_ms = process.now_ms(world_ms);
        let Ok(caller) = process.ledger.authenticate(key.key.reveal().as_bytes(), now_ms).await else {
            return Ok(());
        };
        process.knows(&caller);
        let (ledger, account) = (process.ledger.clone(), key.account);
        let who = caller.clone();
        let later = Box::pin(async move { ledger.reserve(&who, &worst, now_ms).await });
        let stage = Stage::Admitting(later);
        process.requests.push(Request { id: id.clone(), caller, worst, idempotency, now_ms, stage });
        self.note(format_args!("{id} asks process {at} for {account}: {:?}", worst.full().amount));
        self.move_on(at, summary)
    }

    /// Goes on with everything of a process that waits.
    pub(super) fn move_on(&mut self, at: usize, summary: &mut Summary) -> Result<(), String> {
        let mut n = 0;
        while n < self.process(at).requests.len() {
            let request = self.process(at).requests.remove(n);
            if let Some(request) = self.move_request(at, request, summary)? {
                self.process(at).requests.insert(n, request);
                n += 1;
            }
        }
        Ok(())
    }

    pub(super) fn move_request(
        &mut self,
        at: usize,
        mut request: Request,
        summary: &mut Summary,
    ) -> Result<Option<Request>, String> {
        match &mut request.stage {
            Stage::Admitting(later) => {
                // As it will find them: nothing changes while it is asked.
                let wallet = &request.caller.wallet;
                let funded = self.rules.tiers.is_funded(wallet.balance());
                let day = day_of(request.now_ms).max(wallet.day());
                match poll(later) {
                    None => return Ok(Some(request)),
                    Some(Ok(held)) => {
                        summary.admitted += 1;
                        return Ok(self.admitted(at, request, held, day, funded));
                    }
                    Some(Err(NotAdmitted::Unavailable)) => {}
                    Some(Err(NotAdmitted::Refused(refused))) => {
                        summary.refused += 1;
                        self.note(format_args!("{} is refused: {refused:?}", request.id));
                        self.is_rightly_refused(at, &request, refused, day)?;
                    }
                }
                Ok(None)
            }
            Stage::Open(..) => Ok(Some(request)),
            Stage::Ending(later, day, funded) => match poll(later) {
                None => Ok(Some(request)),
                Some(settled) => {
                    let (day, late) = (*day, *funded && settled.is_none());
                    let account = request.caller.wallet.account();
                    self.process(at).unsettled.extend(late.then_some((account, day)));
                    self.ended(&request, settled);
                    Ok(None)
                }
            },
        }
    }

    pub(super) fn admitted(
        &mut self,
        at: usize,
        mut request: Request,
        held: Held,
        day: u32,
        funded: bool,
    ) -> Option<Request> {
        let account = request.caller.wallet.account();
        self.note(format_args!("{} is admitted by process {at}: {:?}", request.id, held.fit()));
        // The limit of the minute may have a say after that.
        if self.rng.u8(..12) == 0 {
            held.reject();
            self.note(format_args!("{} is sent away", request.id));
            return None;
        }
        if funded {
            *self.admitted.entry((account, day)).or_default() += 1;
        }
        request.stage = Stage::Open(held, day, funded);
        Some(request)
    }

    /// With one process and nothing under way, a refusal is right to the micro-credit.
    pub(super) fn is_rightly_refused(
        &mut self,
        at: usize,
        request: &Request,
        refused: Refused,
        day: u32,
    ) -> Result<(), String> {
        let process = self.processes[at].as_ref().expect("it lives");
        // A payment may come in the same commit, and after the lease that was refused.
        if !self.calm || self.writing || process.writer.waiting() > 0 {
            return Ok(());
        }
        let account = request.caller.wallet.account();
        let record = self.reader.account(account).expect("a row").expect("an account");
        match refused {
            Refused::Credits(_) => {
                // Without a limit of its own one token is enough.
                let open: i64 = process.reserved(account);
                let left = MicroCredits::new(record.balance.get() - open);
                let fits = request.worst.within(left).is_ok();
                if fits { Err(format!("{} was refused, and there is {left:?}", request.id)) } else { Ok(()) }
            }
            Refused::Day { limit } => {
                let used = if record.day.0 == day { record.day.1 } else { 0 };
                let enough = used >= limit;
                if enough { Ok(()) } else { Err(format!("{} was refused, {used} of {limit}", request.id)) }
            }
            Refused::Cap(_) => Ok(()),
        }
    }

    pub(super) fn ended(&mut self, request: &Request, settled: Option<Settled>) {
        let told = settled.map(|settled| settled.charged.get());
        self.note(format_args!("{} has ended: {told:?}", request.id));
        if let Some(answer) = self.answers.get_mut(&request.id) {
            answer.told = told;
        }
    }

    /// Ends a request, in one of the ways they end.
    pub(super) fn answer(&mut self, at: usize) {
        let process = self.process(at);
        let open =
            (0..process.requests.len()).find(|n| matches!(process.requests[*n].stage, Stage::Open(..)));
        let Some(n) = open else { return };
        let Request { id, caller, worst, idempotency, now_ms, stage } = process.requests.remove(n);
        let Stage::Open(held, day, funded) = stage else { return };
        if self.rng.u8(..5) == 0 {
            // Nothing was delivered, or the client left before it was.
            self.note(format_args!("{} comes to nothing", id));
            drop(held);
            let account = caller.wallet.account();
            self.process(at).unsettled.extend(funded.then_some((account, day)));
            return;
        }
        // Upstreams may go on beyond the limit.
        let most = held.fit().max_output_tokens.saturating_mul(pick(&mut self.rng, &[1, 1, 5]));
        let usage = Usage {
            prompt_tokens: self.rng.u32(..6_000),
            completion_tokens: self.rng.u32(..=most),
            ..Usage::default()
        };
        let (amount, absorbed) = held.price(&usage);
        let key = self.keys.iter().find(|key| key.id == caller.key).expect("a key");
        let answer = Answer {
            account: key.account,
            due: amount.get(),
            told: None,
            is_certain: false,
            may_be_less: key.has_cap || idempotency.is_some(),
            idempotency,
        };
        self.answers.insert(id.clone(), answer);
        let ended = if self.rng.bool() { Ended::Complete } else { Ended::Client };
        let charge = Charge {
            id: id.clone(),
            amount,
            absorbed,
            usage,
            source: UsageSource::Reported,
            ended,
            reason: Some("stop"),
            model: "model".to_owned(),
            provider: "provider".to_owned(),
            streamed: true,
            created_ms: now_ms,
            first_token_ms: Some(1),
            took_ms: 2,
            idempotency: idempotency.map(|key| Idempotency {
                key,
                body: key,
                expires_ms: now_ms + 100 * DAY_MS,
            }),
        };
        let stage = Stage::Ending(Box::pin(held.post(charge).durable()), day, funded);
        self.note(format_args!("{} posts {amount:?}", id));
        let process = self.process(at);
        process.posted.push(id.clone());
        process.requests.push(Request { id, caller, worst, idempotency, now_ms, stage });
    }

    /// A client leaves while it waits for its admission or for the end of its answer.
    pub(super) fn leave(&mut self, at: usize) {
        let process = self.process(at);
        let leaving = process.requests.iter().position(|request| !matches!(request.stage, Stage::Open(..)));
        if let Some(n) = leaving {
            let request = process.requests.remove(n);
            if let Stage::Ending(_, day, true) = request.stage {
                process.unsettled.push((request.caller.wallet.account(), day));
            }
            self.note(format_args!("{}'s client leaves", request.id));
        }
    }
}
