//! Accounts, keys and the ledger from the command line, with and without a server beside it.

use crate::harness::{PATIENCE, Setup, ask};
use crate::provider::Provider;
use crate::script::{Script, completion, usage};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Instant;
use tempfile::TempDir;

/// Runs a command on the ledger in a folder.
fn run(folder: &Path, arguments: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_freeway"));
    command.args(arguments.split_whitespace()).env_clear().env("FREEWAY_DATA_DIR", folder);
    command.output().expect("it runs")
}

/// What it says when it succeeds.
#[track_caller]
fn said(folder: &Path, arguments: &str) -> String {
    let output = run(folder, arguments);
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[track_caller]
fn json_of(folder: &Path, arguments: &str) -> Value {
    serde_json::from_str(&said(folder, &format!("{arguments} --json"))).expect("JSON")
}

/// It fails, and says this.
#[track_caller]
fn refused(folder: &Path, arguments: &str, because: &str) {
    let output = run(folder, arguments);
    let error = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(!output.status.success() && error.contains(because), "{arguments}: {error}");
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

#[test]
fn an_account_is_opened_topped_up_and_listed_without_a_server() {
    let dir = TempDir::new().expect("a directory");
    let folder = &dir.path().join("data");
    refused(folder, "accounts list", "freeway accounts create");
    assert!(!folder.exists(), "looking makes nothing");

    let made = json_of(folder, "accounts create --name Ann --reference customer-1");
    let (id, key) = (text(&made["account"]["id"]), text(&made["key"]));
    assert!(id.starts_with("acct_") && key.starts_with("cm_") && key.len() == 67, "{made}");
    assert_eq!((&made["account"]["balance"], &made["new"]), (&json!(1_000), &json!(true)));
    let again = json_of(folder, "accounts create --reference customer-1");
    assert_eq!(
        (&again["account"]["id"], &again["key"], &again["new"]),
        (&json!(id), &Value::Null, &json!(false))
    );
    let poor = json_of(folder, "accounts create --credits 0.5");
    assert_eq!(poor["account"]["balance"], json!(0.5));

    let credit = format!("accounts credit {id} 12.345678 --reference pay-1");
    assert_eq!(json_of(folder, &credit)["balance"], json!(1_012.345678));
    assert_eq!(json_of(folder, &credit), json!({"account": id, "balance": 1_012.345678, "new": false}));
    refused(
        folder,
        &format!("accounts credit {} 1 --reference pay-1", text(&poor["account"]["id"])),
        "another account",
    );
    assert!(said(folder, &format!("accounts show {id}")).contains("1012.345678 credits"));
    let table = said(folder, "accounts list");
    assert!(table.contains("Ann") && table.lines().count() == 3, "{table}");
    let first = json_of(folder, "accounts list --limit 1");
    let rest = json_of(folder, &format!("accounts list --after {}", text(&first[0]["id"])));
    assert_eq!((first.as_array().map(Vec::len), rest.as_array().map(Vec::len)), (Some(1), Some(1)));

    let whole = json_of(folder, "ledger verify");
    assert_eq!((&whole["entries"], &whole["credited"]), (&json!(3), &json!(1_012.845678)));
    assert!(said(folder, "ledger verify").contains("Everything adds up."));
    let mode = |name: &str| std::fs::metadata(folder.join(name)).expect("it is there").permissions().mode();
    assert_eq!((mode("") & 0o777, mode("ledger.db") & 0o777), (0o700, 0o600));
}

#[test]
fn a_key_is_shown_once_and_kept_as_a_hash() {
    let dir = TempDir::new().expect("a directory");
    let folder = dir.path();
    let made = json_of(folder, "accounts create");
    let account = text(&made["account"]["id"]);
    let more = json_of(folder, &format!("keys create {account} --name laptop --cap 2.5 --expires 30d"));
    let (id, key) = (text(&more["id"]), text(&more["key"]));
    assert_eq!(
        (&more["cap"], &more["name"], &more["state"]),
        (&json!(2.5), &json!("laptop"), &json!("valid"))
    );
    let human = said(folder, &format!("keys create {account} --expires 2100-01-01T00:00:00Z"));
    assert!(
        human.contains("2100-01-01T00:00:00Z") && human.lines().any(|line| line.starts_with("cm_")),
        "{human}"
    );
    said(folder, &format!("keys revoke {id}"));
    let list = json_of(folder, &format!("keys list {account}"));
    let states: Vec<_> = list.as_array().expect("a list").iter().map(|key| text(&key["state"])).collect();
    assert_eq!(states.iter().filter(|state| *state == "revoked").count(), 1, "{list}");
    assert_eq!(states.len(), 3);
    assert!(!list.to_string().contains(&key));
    let mut files =
        std::fs::read_dir(folder).expect("it is there").map(|entry| entry.expect("an entry").path());
    assert!(files.any(|path| path.ends_with("ledger.db")));
    for path in std::fs::read_dir(folder).expect("it is there").map(|entry| entry.expect("an entry").path()) {
        let bytes = if path.is_file() { std::fs::read(&path).expect("it reads") } else { Vec::new() };
        let inside = |secret: &str| bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!inside(&key) && !inside(&text(&made["key"])), "{}", path.display());
    }
}

#[test]
fn what_is_wrong_is_said_with_what_to_do() {
    let dir = TempDir::new().expect("a directory");
    let folder = dir.path();
    let account = text(&json_of(folder, "accounts create")["account"]["id"]);
    let nobody = "acct_0000000000000001";
    refused(folder, &format!("accounts show {nobody}"), "freeway accounts list");
    refused(folder, &format!("accounts credit {nobody} 5 --reference r"), "freeway accounts list");
    refused(folder, &format!("accounts credit {account} 0 --reference r"), "above zero");
    refused(folder, &format!("accounts credit {account} 1e3 --reference r"), "decimal number of credits");
    refused(folder, &format!("accounts credit {account} 5"), "--reference");
    refused(folder, &format!("accounts credit {account} 9223372036854 --reference r"), "credit less");
    refused(folder, "accounts show 17", "16 hexadecimal digits");
    refused(folder, &format!("keys create {nobody}"), "freeway accounts list");
    refused(folder, &format!("keys create {account} --expires yesterday"), "30d");
    refused(folder, &format!("keys create {account} --expires 2020-01-01T00:00:00Z"), "over already");
    refused(folder, "keys revoke key_0000000000000001", "freeway keys list");
    refused(folder, &format!("keys list {nobody}"), "freeway accounts list");
    let file = folder.join("file");
    std::fs::write(&file, "").expect("written");
    refused(&file.join("below"), "accounts create", "--data-dir");
    assert_eq!(json_of(folder, "ledger verify")["entries"], json!(1), "none of it changed anything");
}

#[test]
fn a_damaged_ledger_is_found_out() {
    let dir = TempDir::new().expect("a directory");
    let folder = dir.path();
    said(folder, "accounts create");
    let path = folder.join("ledger.db");
    let mut bytes = std::fs::read(&path).expect("it reads");
    // The balance, 1,000,000,000 micro-credits, stands twice in the account's row and once in the entry.
    let grant = 1_000_000_000_i32.to_be_bytes();
    let at = bytes.windows(4).position(|window| window == grant).expect("it is there");
    bytes[at + 3] ^= 1;
    std::fs::write(&path, bytes).expect("written");
    let output = run(folder, "ledger verify");
    let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(1));
    assert!(out.contains("1000.000001") && error.contains("does not add up"), "{out}{error}");
}

#[tokio::test]
async fn the_server_knows_at_once_what_the_command_line_changed() {
    let mut whole = completion("Hi there.");
    whole["usage"] = usage(14, 3);
    let provider = Provider::start("alpha", [Script::json(200, whole)]).await;
    let router = Setup::new().provider(&provider).accounts().start().await;
    let folder = router.data_dir();
    let made = json_of(&folder, "accounts create --credits 10");
    let (account, key) = (text(&made["account"]["id"]), text(&made["key"]));
    let client = &mut router.client().await;
    assert_eq!(client.chat_as(&key, &ask("Hi")).await.status, 200);
    let shown = json_of(&folder, &format!("accounts show {account}"));
    assert_eq!((&shown["balance"], &shown["spent"]), (&json!(9.9942), &json!(0.0058)));
    assert!(shown["leased"].as_f64() > Some(0.0), "the server holds a lease: {shown}");
    assert_eq!(json_of(&folder, "ledger verify")["charged"], json!(0.0058));

    let keys = json_of(&folder, &format!("keys list {account}"));
    said(&folder, &format!("keys revoke {}", text(&keys[0]["id"])));
    let began = Instant::now();
    while client.chat_as(&key, &ask("Hi")).await.status != 401 {
        assert!(began.elapsed() < PATIENCE, "the key still works");
    }
    said(&folder, "ledger verify");
}
