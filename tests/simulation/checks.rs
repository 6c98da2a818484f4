//! What has to hold after every step.

use crate::backing::{Line, View};
use crate::process::Process;
use crate::world::{Answer, World};
use freeway::accounts::AccountId;
use freeway::store::EntryKind;
use std::collections::{BTreeMap, BTreeSet};

/// Says what does not hold.
pub(crate) fn check(world: &World, view: &View) -> Result<(), String> {
    let ids: BTreeSet<(&str, &str)> = view.lines.iter().map(|line| (line.kind.name(), &*line.id)).collect();
    require(ids.len() == view.lines.len(), || "an id is in the ledger twice".to_owned())?;
    balances(view)?;
    caps(view)?;
    answers(world, view)?;
    top_ups(world, view)?;
    days(world)?;
    leases(world, view)
}

fn require(holds: bool, words: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(words()) }
}

/// Balances are the sum of what moved them, never below zero, and leases are part of them.
fn balances(view: &View) -> Result<(), String> {
    for account in &view.accounts {
        let id = account.id;
        let (balance, leased) = (account.balance.get(), account.leased.get());
        require(balance >= 0, || format!("{id} has {balance}"))?;
        require((0..=balance).contains(&leased), || format!("{id}: {leased} of {balance} are leased"))?;
        let lines = || view.lines.iter().filter(|line| line.account == id);
        let sum: i64 = lines().map(|line| line.amount).sum();
        require(sum == balance, || format!("{id} has {balance}, and its lines add up to {sum}"))?;
        let mut running = 0;
        for line in lines() {
            running += line.amount;
            require(running == line.balance, || format!("{} says {}, not {running}", line.id, line.balance))?;
        }
        let credited: i64 = lines().filter(|line| line.amount > 0).map(|line| line.amount).sum();
        require(credited == account.credited.get(), || format!("{id} was not credited {credited}"))?;
        if let Some(leases) = &view.leases {
            let sum: i64 = leases.iter().filter(|((_, of), _)| *of == id).map(|(_, amount)| amount).sum();
            require(sum == leased, || format!("{id}: {leased} leased, and leases of {sum}"))?;
        }
    }
    Ok(())
}

fn caps(view: &View) -> Result<(), String> {
    for key in &view.keys {
        let (spent, cap) = (key.spent.get(), key.cap.map_or(i64::MAX, |cap| cap.get()));
        require((0..=cap).contains(&spent), || format!("{} has spent {spent} of {cap}", key.id))?;
    }
    Ok(())
}

/// Every answer whose end went out is there with the amount it was told, and nothing else is.
fn answers(world: &World, view: &View) -> Result<(), String> {
    let charges = view.lines.iter().filter(|line| line.kind == EntryKind::Charge);
    let charges: BTreeMap<&str, &Line> = charges.map(|line| (&*line.id, line)).collect();
    for (id, line) in &charges {
        let answer = world.answers.get(*id).ok_or_else(|| format!("{id} was never answered"))?;
        let (charged, due) = (-line.amount, answer.due);
        require(line.account == answer.account, || format!("{id} is another account's"))?;
        require((0..=due).contains(&charged), || format!("{id} was charged {charged} of {due}"))?;
    }
    for (id, answer) in &world.answers {
        let Answer { told, due, .. } = *answer;
        let charged = charges.get(&**id).map(|line| -line.amount);
        require(told.is_none() || told == charged, || format!("{id} was told {told:?}: {charged:?}"))?;
        require(!answer.is_certain || charged.is_some(), || format!("{id} is missing: {due}"))?;
        // Nothing but a cap or another charge under its idempotency key makes it cheaper.
        let whole = charged.is_none_or(|charged| charged == due) || answer.may_be_less;
        require(whole, || format!("{id} was charged {charged:?} of {due}"))?;
    }
    idempotency(world, &charges)
}

fn idempotency(world: &World, charges: &BTreeMap<&str, &Line>) -> Result<(), String> {
    let mut charged = BTreeSet::new();
    for (id, answer) in &world.answers {
        let Some(key) = answer.idempotency else { continue };
        if charges.get(&**id).is_some_and(|line| line.amount < 0) {
            require(charged.insert((answer.account, key)), || format!("{id} was charged before"))?;
        }
    }
    Ok(())
}

fn top_ups(world: &World, view: &View) -> Result<(), String> {
    let top_ups = view.lines.iter().filter(|line| line.kind == EntryKind::TopUp);
    let found: BTreeMap<&str, &Line> = top_ups.map(|line| (&*line.id, line)).collect();
    for (reference, line) in &found {
        let asked = world.top_ups.get(*reference).ok_or_else(|| format!("{reference} was never paid"))?;
        require((line.account, line.amount) == (asked.0, asked.1), || format!("{reference} is not as paid"))?;
    }
    let missing =
        world.top_ups.iter().find(|(reference, (.., known))| *known && !found.contains_key(&***reference));
    require(missing.is_none(), || format!("{missing:?} is not credited"))
}

/// No more requests of a funded account than the day has, but for those that a crash took with it.
fn days(world: &World) -> Result<(), String> {
    let Some(limit) = world.rules.tiers.funded.per_day else { return Ok(()) };
    let over = world.admitted.iter().find(|(_, count)| **count > i64::from(limit));
    require(over.is_none(), || format!("{over:?} were admitted of {limit} a day"))
}

/// A process that waits for nothing knows exactly what is leased to it; and no process, ever, may spend
/// more than that.
fn leases(world: &World, view: &View) -> Result<(), String> {
    for process in world.processes.iter().flatten() {
        for &account in &world.account_ids {
            lease_of(process, account, view)?;
        }
    }
    Ok(())
}

fn lease_of(process: &Process, account: AccountId, view: &View) -> Result<(), String> {
    let Some(leases) = &view.leases else { return Ok(()) };
    let durable = leases.get(&(process.boot, account)).copied().unwrap_or(0);
    let known = process.leased(account);
    let boot = process.boot;
    require(known <= durable, || {
        format!("process {boot} may spend {known} of {account}, and has {durable}")
    })?;
    let idle = process.writer.waiting() == 0 && !process.in_doubt.contains(&account);
    require(!idle || known == durable, || {
        format!("process {boot} knows of {known} of {durable} of {account}")
    })
}
