//! What a request costs before it is admitted, and what is said to those that are not.

use super::gateway::Gateway;
use super::idempotency::Claim;
use super::limit::{Quota, Visitor, day_is_over};
use crate::accounts::{Fit, Refused, Unaffordable, Worst};
use crate::ledger::{Held, NotAdmitted};
use crate::money::MicroCredits;
use crate::protocol::errors::{ApiError, ErrorKind};
use crate::protocol::facts::RequestFacts;
use serde_json::Value;

/// An admitted request: its hold, where its caller stands, and the idempotency key that is its own.
pub(super) struct Admitted {
    pub(super) held: Held,
    pub(super) quota: Option<Quota>,
    pub(super) claim: Option<Claim>,
}

/// A refusal, with the limit it is about if it is about one.
pub(super) type Refusal = (Box<ApiError>, Option<Quota>);

impl Admitted {
    /// The limit of the answer that is paid for.
    pub(super) const fn fit(&self) -> Fit {
        self.held.fit()
    }
}

/// Reserves the worst case of a request and takes its place among the day's and the minute's.
///
/// # Errors
/// 402, 429 or 503; such a request counts nowhere.
pub(super) async fn admit(
    gateway: &Gateway,
    visitor: &Visitor,
    facts: &RequestFacts,
    claim: Option<Claim>,
) -> Result<Admitted, Refusal> {
    let held = reserve(gateway, visitor, facts).await?;
    match visitor.admit(&gateway.limits, gateway.clock.now_ms()) {
        Ok(quota) => Ok(Admitted { held, quota, claim }),
        Err((error, quota)) => {
            held.reject();
            Err(over(gateway, error, quota))
        }
    }
}

/// Whether a request would be admitted now. Nothing is held or counted.
///
/// # Errors
/// What [`admit`] says.
pub(super) async fn check(gateway: &Gateway, visitor: &Visitor, facts: &RequestFacts) -> Result<(), Refusal> {
    reserve(gateway, visitor, facts).await?.reject();
    let checked = visitor.check(&gateway.limits, gateway.clock.now_ms());
    checked.map_err(|(error, quota)| over(gateway, error, quota))
}

fn over(gateway: &Gateway, error: Box<ApiError>, quota: Quota) -> Refusal {
    refused(gateway, "minute");
    (error, Some(quota))
}

fn refused(gateway: &Gateway, kind: &str) {
    gateway.metrics.ledger.refused.with_label_values(&[kind]).inc();
}

async fn reserve(gateway: &Gateway, visitor: &Visitor, facts: &RequestFacts) -> Result<Held, Refusal> {
    let Visitor { ledger, caller, .. } = visitor;
    let needs = &facts.requirements;
    let worst = Worst::new(
        ledger.rules().price,
        needs.prompt_tokens,
        facts.choices,
        needs.max_output_tokens,
        ledger.rules().default_max_output_tokens,
    );
    let now_ms = gateway.clock.now_ms();
    ledger.reserve(caller, &worst, now_ms).await.map_err(|why| {
        let (kind, refusal) = not_admitted(visitor, &worst, why, now_ms);
        refused(gateway, kind);
        refusal
    })
}

fn not_admitted(visitor: &Visitor, worst: &Worst, why: NotAdmitted, now_ms: u64) -> (&'static str, Refusal) {
    let balance = visitor.caller.wallet.balance();
    let credit = |error: ApiError| (Box::new(error.with("balance", credits(balance))), None);
    match why {
        NotAdmitted::Refused(Refused::Credits(short)) => {
            let has = format!("the balance of {balance} credits");
            ("credits", credit(unaffordable(ErrorKind::InsufficientCredits, &has, worst, short)))
        }
        NotAdmitted::Refused(Refused::Cap(short)) => {
            let has = "what is left of this key's spending cap";
            ("cap", credit(unaffordable(ErrorKind::BudgetExceeded, has, worst, short)))
        }
        NotAdmitted::Refused(Refused::Day { limit }) => {
            let (error, quota) = day_is_over(visitor, limit, now_ms);
            ("day", (error, Some(quota)))
        }
        NotAdmitted::Unavailable => ("ledger", (Box::new(ApiError::billing_unavailable()), None)),
    }
}

fn unaffordable(kind: ErrorKind, has: &str, worst: &Worst, short: Unaffordable) -> ApiError {
    let Unaffordable { needed, max_output_tokens } = short;
    let remedy = match (kind, max_output_tokens) {
        (ErrorKind::BudgetExceeded, 0) => "raise the cap or use another key".to_owned(),
        (ErrorKind::BudgetExceeded, most) => format!("set max_tokens to {most} or less, or raise the cap"),
        (_, 0) => "top the account up".to_owned(),
        (_, most) => format!("set max_tokens to {most} or less, or top the account up"),
    };
    let words = format!("{has} does not cover this request, which may cost up to {needed} credits: {remedy}");
    let error = ApiError::new(kind, words)
        .with("affordable_max_tokens", max_output_tokens)
        .with("needed", credits(needed));
    if worst.is_explicit() { error.param("max_tokens") } else { error }
}

/// Credits as a JSON number.
pub(super) fn credits(amount: MicroCredits) -> Value {
    serde_json::from_str(&amount.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Price;

    #[test]
    fn who_cannot_pay_is_told_what_would_do() {
        let worst = Worst::new(Price::default(), 18, 1, Some(10), 4096);
        let short = worst.within(MicroCredits::new(29_999)).expect_err("one too many");
        let error = unaffordable(ErrorKind::InsufficientCredits, "the balance of 1 credits", &worst, short);
        assert_eq!(error.metadata["affordable_max_tokens"], 9);
        assert_eq!(error.metadata["needed"], 0.03);
        assert!(error.message.contains("max_tokens to 9 or less"), "{}", error.message);
    }

    #[test]
    fn credits_are_numbers() {
        assert_eq!(credits(MicroCredits::new(5_800)).to_string(), "0.0058");
        assert_eq!(credits(MicroCredits::new(1_000_000_000)).to_string(), "1000");
    }
}
