//! Which path and method ask for what.

use http::Method;

/// What a key's holder, or a visitor who signs up, can ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Open an account.
    SignUp,
    /// The own account.
    Account,
    /// What was credited and spent.
    Credits,
    /// The key that is presented.
    OwnKey,
    /// All keys.
    ListKeys,
    /// Another key.
    CreateKey,
    /// One key, by the id given.
    ShowKey(String),
    /// The end of a key.
    RevokeKey(String),
    /// One answer.
    Generation,
    /// Usage by day and model, OpenRouter's way.
    Activity,
    /// Usage by day, OpenAI's way.
    Usage,
    /// The account's entries in the ledger.
    Transactions,
}

impl Operation {
    /// What a request for `path`, which stands behind `/v1/` or `/api/v1/`, asks for. `None`: nothing is
    /// there. `Err`: the methods the path takes.
    pub fn find(method: &Method, path: &str) -> Option<Result<Self, &'static str>> {
        let reads = matches!(*method, Method::GET | Method::HEAD);
        let read = |operation: Self| Some(if reads { Ok(operation) } else { Err("GET, HEAD") });
        match path {
            "accounts" if *method == Method::POST => Some(Ok(Self::SignUp)),
            "accounts" => Some(Err("POST")),
            "account" => read(Self::Account),
            "credits" => read(Self::Credits),
            "key" => read(Self::OwnKey),
            "keys" if *method == Method::POST => Some(Ok(Self::CreateKey)),
            "keys" if reads => Some(Ok(Self::ListKeys)),
            "keys" => Some(Err("GET, HEAD, POST")),
            "generation" => read(Self::Generation),
            "activity" => read(Self::Activity),
            "usage" | "organization/usage/completions" => read(Self::Usage),
            "transactions" => read(Self::Transactions),
            _ => {
                let id = path.strip_prefix("keys/").filter(|id| !id.is_empty() && !id.contains('/'))?;
                Some(match *method {
                    Method::DELETE => Ok(Self::RevokeKey(id.to_owned())),
                    _ if reads => Ok(Self::ShowKey(id.to_owned())),
                    _ => Err("DELETE, GET, HEAD"),
                })
            }
        }
    }

    /// Whether its body is looked at.
    pub const fn has_body(&self) -> bool {
        matches!(self, Self::SignUp | Self::CreateKey)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(method: Method, path: &str, expect: Option<Result<Operation, &'static str>>) {
        assert_eq!(Operation::find(&method, path), expect, "{method} {path}");
    }

    #[test]
    fn path_and_method_choose() {
        check(Method::POST, "accounts", Some(Ok(Operation::SignUp)));
        check(Method::HEAD, "key", Some(Ok(Operation::OwnKey)));
        check(Method::POST, "keys", Some(Ok(Operation::CreateKey)));
        check(Method::DELETE, "keys/key_1", Some(Ok(Operation::RevokeKey("key_1".to_owned()))));
        check(Method::GET, "organization/usage/completions", Some(Ok(Operation::Usage)));
    }

    #[test]
    fn a_wrong_method_is_told_the_right_ones() {
        check(Method::GET, "accounts", Some(Err("POST")));
        check(Method::DELETE, "keys", Some(Err("GET, HEAD, POST")));
        check(Method::PATCH, "keys/key_1", Some(Err("DELETE, GET, HEAD")));
        check(Method::POST, "credits", Some(Err("GET, HEAD")));
    }

    #[test]
    fn other_paths_are_none_of_ours() {
        for path in ["", "accounts/acct_1", "accounts/acct_1/credit", "keys/", "keys/a/b", "chat/completions"]
        {
            check(Method::GET, path, None);
        }
    }
}
