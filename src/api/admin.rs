//! What the operator does with accounts.

use super::account::AccountView;
use super::amount::Credits;
use super::fields::{Fields, invalid};
use super::key_views;
use super::page::{DEFAULT_LIMIT, MAX_LIMIT, Page, cursor};
use super::query::Query;
use super::signup::{NewAccountWish, REFERENCE_PREFIX};
use super::{Answer, Desk, Reply, not_found, unexpected};
use crate::accounts::AccountId;
use crate::protocol::errors::{ApiError, ErrorKind};
use crate::store::{AccountRecord, Credit, Op, Outcome, Refusal};
use http::Method;
use serde::Serialize;

/// What the operator can ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminOperation {
    /// All accounts.
    ListAccounts,
    /// Another account.
    CreateAccount,
    /// One account.
    ShowAccount(AccountId),
    /// A top-up.
    Credit(AccountId),
    /// The keys of an account.
    ListKeys(AccountId),
    /// Another key.
    CreateKey(AccountId),
    /// The end of a key.
    RevokeKey(String),
    /// An account's entries in the ledger.
    Transactions(AccountId),
}

/// An account, and what of it processes have leased.
#[derive(Serialize)]
struct OperatorView {
    #[serde(flatten)]
    account: AccountView,
    leased_credits: Credits,
}

#[derive(Serialize)]
struct Credited {
    object: &'static str,
    account: String,
    reference: String,
    credited: bool,
    balance_credits: Credits,
}

impl AdminOperation {
    /// What a request asks for. `None`: nothing is there. `Err`: the methods the path takes.
    pub fn find(method: &Method, path: &str) -> Option<Result<Self, &'static str>> {
        let reads = matches!(*method, Method::GET | Method::HEAD);
        let posts = *method == Method::POST;
        let mut parts = path.trim_start_matches('/').split('/');
        let found = match (parts.next()?, parts.next(), parts.next(), parts.next()) {
            ("accounts", None, ..) if reads => Ok(Self::ListAccounts),
            ("accounts", None, ..) if posts => Ok(Self::CreateAccount),
            ("accounts", None, ..) => Err("GET, HEAD, POST"),
            ("keys", Some(id), None, _) if *method == Method::DELETE => Ok(Self::RevokeKey(id.to_owned())),
            ("keys", Some(_), None, _) => Err("DELETE"),
            ("accounts", Some(id), below, None) => {
                let id = id.parse().ok()?;
                match below {
                    None if reads => Ok(Self::ShowAccount(id)),
                    None => Err("GET, HEAD"),
                    Some("credit") if posts => Ok(Self::Credit(id)),
                    Some("credit") => Err("POST"),
                    Some("keys") if reads => Ok(Self::ListKeys(id)),
                    Some("keys") if posts => Ok(Self::CreateKey(id)),
                    Some("keys") => Err("GET, HEAD, POST"),
                    Some("transactions") if reads => Ok(Self::Transactions(id)),
                    Some("transactions") => Err("GET, HEAD"),
                    Some(_) => return None,
                }
            }
            _ => return None,
        };
        Some(found)
    }

    /// Whether its body is looked at.
    pub const fn has_body(&self) -> bool {
        matches!(self, Self::CreateAccount | Self::Credit(_) | Self::CreateKey(_))
    }
}

impl Desk<'_> {
    pub(super) async fn operate(self, operation: AdminOperation) -> Answer {
        match operation {
            AdminOperation::ListAccounts => self.list_accounts().await,
            AdminOperation::CreateAccount => self.create_account().await,
            AdminOperation::ShowAccount(id) => {
                let record = self.existing(id).await?;
                Reply::json(200, &self.operator_view(&record))
            }
            AdminOperation::Credit(id) => self.credit(id).await,
            AdminOperation::ListKeys(id) => {
                self.existing(id).await?;
                key_views::list(&self.look(move |reader| reader.keys(id)).await?)
            }
            AdminOperation::CreateKey(id) => {
                let mut fields = Fields::read(self.call.body)?;
                let cap = fields.credits("limit_credits")?;
                let wanted = self.wanted_key(fields, cap)?;
                let (key, record) = self.make_key(id, wanted).await?;
                key_views::created(&key, &record)
            }
            AdminOperation::RevokeKey(id) => key_views::deleted(self.revoke(&id, None).await?),
            AdminOperation::Transactions(id) => {
                self.existing(id).await?;
                self.transactions(id).await
            }
        }
    }

    async fn list_accounts(self) -> Answer {
        let mut query = Query::read(self.call.query)?;
        let limit = query.number("limit", 1..=MAX_LIMIT)?.unwrap_or(DEFAULT_LIMIT) as usize;
        let after: Option<AccountId> = cursor(query.take("after")?)?;
        query.end()?;
        let records = self.look(move |reader| reader.accounts(after, limit + 1)).await?;
        let next = |record: &AccountRecord| record.id.to_string();
        Reply::json(200, &Page::new(records, limit, next, |record| self.operator_view(&record)))
    }

    async fn create_account(self) -> Answer {
        let mut fields = Fields::read(self.call.body)?;
        let name = fields.name("name")?;
        let reference = fields.reference("reference")?;
        let credits = fields.credits("credits")?;
        fields.end()?;
        if reference.as_ref().is_some_and(|reference| reference.starts_with(REFERENCE_PREFIX)) {
            let words = format!("must not begin with {REFERENCE_PREFIX}, as accounts do that signed up");
            return Err(invalid("reference", words));
        }
        let grant = credits.unwrap_or(self.ledger.rules().grant);
        self.open(NewAccountWish { name, reference, grant }).await
    }

    async fn credit(self, account: AccountId) -> Answer {
        let mut fields = Fields::read(self.call.body)?;
        let amount = fields.credits("credits")?;
        let reference = fields.reference("reference")?;
        fields.end()?;
        let amount = amount.ok_or_else(|| invalid("credits", "is missing"))?;
        let reference = reference.ok_or_else(|| {
            invalid("reference", "is missing: the payment's own id, so that a repeated call credits once")
        })?;
        let credit = Credit { account, amount, reference: reference.clone(), at_ms: self.call.now_ms };
        match self.change(Op::Credit(credit)).await? {
            Outcome::Credited { balance, new } => Reply::json(
                200,
                &Credited {
                    object: "credit",
                    account: account.to_string(),
                    reference,
                    credited: new,
                    balance_credits: Credits(balance),
                },
            ),
            Outcome::Refused(Refusal::NoAccount) => Err(no_account()),
            Outcome::Refused(Refusal::OtherAccount) => {
                let words = "this reference was credited to another account";
                Err(Box::new(ApiError::new(ErrorKind::Conflict, words).param("reference")))
            }
            Outcome::Refused(Refusal::TooMuch) => {
                Err(invalid("credits", "the balance would exceed what can be counted"))
            }
            _ => Err(unexpected()),
        }
    }

    async fn existing(self, id: AccountId) -> Result<AccountRecord, Box<ApiError>> {
        self.look(move |reader| reader.account(id)).await?.ok_or_else(no_account)
    }

    fn operator_view(self, record: &AccountRecord) -> OperatorView {
        OperatorView { account: self.view(record, None), leased_credits: Credits(record.leased) }
    }
}

fn no_account() -> Box<ApiError> {
    not_found("there is no such account")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "acct_0000000000000007";

    #[track_caller]
    fn check(method: Method, path: &str, expect: Option<Result<AdminOperation, &'static str>>) {
        assert_eq!(AdminOperation::find(&method, path), expect, "{method} {path}");
    }

    #[test]
    fn path_and_method_choose() {
        let id = || ID.parse().expect("an id");
        check(Method::GET, "/accounts", Some(Ok(AdminOperation::ListAccounts)));
        check(Method::POST, "/accounts", Some(Ok(AdminOperation::CreateAccount)));
        check(Method::GET, &format!("/accounts/{ID}"), Some(Ok(AdminOperation::ShowAccount(id()))));
        check(Method::POST, &format!("/accounts/{ID}/credit"), Some(Ok(AdminOperation::Credit(id()))));
        check(Method::POST, &format!("/accounts/{ID}/keys"), Some(Ok(AdminOperation::CreateKey(id()))));
        check(Method::DELETE, "/keys/key_1", Some(Ok(AdminOperation::RevokeKey("key_1".to_owned()))));
    }

    #[test]
    fn the_rest_is_none_or_told_its_methods() {
        check(Method::GET, &format!("/accounts/{ID}/credit"), Some(Err("POST")));
        check(Method::PUT, "/accounts", Some(Err("GET, HEAD, POST")));
        for path in ["/", "/keys", "/accounts/7", "/accounts/acct_7/keys", "/endpoints"] {
            check(Method::GET, path, None);
        }
        check(Method::GET, &format!("/accounts/{ID}/keys/more"), None);
        check(Method::GET, &format!("/accounts/{ID}/colour"), None);
    }
}
