//! The four lines of the house, read off the sources: a room uses the rooms below it, rooms beside it
//! only where [`BESIDE`] gives a reason, and the lower lines never touch the outside world.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// The lines, lowest first, with their rooms.
const LINES: [(&str, &[&str]); 4] = [
    ("decide", &["money", "catalog", "protocol", "classifier", "training", "routing", "metering"]),
    ("remember", &["upstream", "queue", "sessions", "accounts", "limits", "snapshot"]),
    (
        "connect",
        &["api", "board", "proxy", "store", "ledger", "services", "config", "metrics", "access_log", "logs"],
    ),
    ("start", &["main", "lib", "cli", "server"]),
];

/// Who may use what beside it or above it, and why.
const BESIDE: &[(&str, &str, &str)] = &[
    (
        "protocol",
        "catalog",
        "what a request needs is said in capabilities, and an endpoint's profile rewrites it",
    ),
    ("protocol::normalize", "metering", "the text it passes on is measured on the way"),
    ("protocol::normalize", "money", "the bill is part of the last event"),
    ("classifier", "catalog", "tasks are what models are good at"),
    ("classifier", "protocol::facts", "prompts are read where inspection found them"),
    ("training", "classifier", "it makes the classifier's weights"),
    ("training", "catalog", "tasks are labels"),
    ("training", "protocol::facts", "prompts are classified where inspection found them"),
    ("training", "protocol::inspect", "prompts are read on the way that requests take"),
    ("routing", "classifier", "plans depend on what a prompt asks for"),
    ("routing", "catalog", "plans choose among endpoints"),
    ("routing", "protocol", "plans are made from the facts of a request"),
    ("metering", "protocol::usage", "usage is what is measured"),
    ("money", "protocol::usage", "usage is what is charged"),
    ("snapshot", "upstream", "it joins the catalog to the endpoints' live state"),
    ("config", "services::simulate", "the simulated models are configured"),
    ("proxy", "config", "limits and timeouts"),
    ("proxy", "metrics", "requests are counted"),
    ("proxy", "access_log", "requests are written down"),
    ("limits", "accounts::AccountId", "accounts are limited, too"),
    ("ledger", "store", "charges end up there"),
    ("ledger", "metrics", "commits and charges are counted"),
    ("proxy", "ledger", "requests reserve and post"),
    ("proxy", "api", "calls about accounts come in with requests"),
    ("api", "ledger", "accounts are looked up and changed there"),
    ("api", "store", "what it changes and finds"),
    ("services", "api", "the operator's calls"),
    ("proxy", "board", "callers look at the endpoints of a model"),
    ("services", "board", "the operator looks at all endpoints"),
    ("metrics", "board", "a metric and a view of an endpoint say the same"),
    ("proxy", "store", "charges and receipts are what the store keeps of them"),
    ("services", "config", "the providers whose lists are read"),
    ("services", "ledger", "leases are kept in step with other processes"),
    ("services", "proxy", "the loops keep the state fresh that requests decide from"),
];

/// What the lower lines never name, up to and including the line given.
const FORBIDDEN: [(&str, &str); 14] = [
    ("pingora", "remember"),
    ("tokio", "remember"),
    ("std::fs", "remember"),
    ("std::env", "remember"),
    ("TcpListener", "remember"),
    ("TcpStream", "remember"),
    ("UdpSocket", "remember"),
    ("Instant", "remember"),
    ("SystemTime", "remember"),
    ("Timestamp::now", "remember"),
    ("Zoned::now", "remember"),
    ("sync::atomic", "decide"),
    ("Mutex", "decide"),
    ("RwLock", "decide"),
];

/// What only these modules name.
const ONLY_IN: [(&str, &[&str]); 5] = [
    (
        "std::fs",
        &["cli", "config", "server", "services::catalog_sync", "services::state_file", "store::sqlite"],
    ),
    ("std::env", &["cli", "server"]),
    ("pingora::proxy", &["proxy", "server"]),
    ("http::custom", &["proxy::wrapper"]),
    // To switch one off is free.
    ("set_retry", &["proxy::failover"]),
];

#[test]
fn every_room_keeps_to_its_line() {
    let mut report = String::new();
    for (path, source) in sources() {
        for Offence { line, what } in offences(&path, &source) {
            let _ = writeln!(report, "{path}:{line}: {what}");
        }
    }
    assert!(report.is_empty(), "\n{report}");
}

#[test]
fn no_exception_outlives_its_need() {
    let mut used = BTreeSet::new();
    for (path, source) in sources() {
        let module = module_of(&path);
        for name in names(&source) {
            let Some(target) = within_crate(&module, &name) else { continue };
            let from = module.join("::");
            used.extend(exceptions().filter(|(f, t, _)| below(&from, f) && below(&target.join("::"), t)));
        }
    }
    let idle: Vec<_> = exceptions().filter(|e| !used.contains(e)).collect();
    assert!(idle.is_empty(), "nobody needs these any more: {idle:?}");
}

#[test]
fn every_listed_room_is_there() {
    let rooms: BTreeSet<_> = sources().iter().map(|(path, _)| module_of(path)[0].clone()).collect();
    let listed: BTreeSet<_> = LINES.iter().flat_map(|(_, rooms)| *rooms).map(|r| (*r).to_owned()).collect();
    assert_eq!(rooms, listed);
}

/// A choice reads and changes nothing but atomics; the pool's map is for new catalogs.
#[test]
fn choosing_an_endpoint_takes_no_lock() {
    const CHOOSING: [&str; 3] = ["upstream", "sessions", "snapshot"];
    let is_lock = |name: &Name| name.holds("Mutex") || name.holds("RwLock");
    for (path, source) in sources() {
        let module = module_of(&path);
        if !CHOOSING.contains(&module[0].as_str()) || module == ["upstream", "pool"] || is_test_file(&module)
        {
            continue;
        }
        let lock = names(&source).into_iter().find(|name| is_lock(name) && !name.in_tests);
        assert!(lock.is_none(), "{path}:{} takes a lock", lock.map_or(0, |name| name.line));
    }
}

struct Offence {
    line: usize,
    what: String,
}

/// What is wrong with a file, by its path below the crate's root.
fn offences(path: &str, source: &str) -> Vec<Offence> {
    let module = module_of(path);
    let Some(own) = line_of(&module[0]) else {
        return vec![Offence { line: 1, what: format!("`{}` is on no line of the house", module[0]) }];
    };
    let mut found = Vec::new();
    for name in names(source) {
        // Tests may read files and clocks.
        let tests = name.in_tests || is_test_file(&module);
        let word = || offence_of_word(own, &name).or_else(|| offence_of_place(&module, &name));
        let whats = [offence_of_use(&module, own, &name), if tests { None } else { word() }];
        found.extend(whats.into_iter().flatten().map(|what| Offence { line: name.line, what }));
    }
    found
}

fn offence_of_use(module: &[String], own: usize, name: &Name) -> Option<String> {
    let target = within_crate(module, name)?;
    let (from, to) = (module.join("::"), target.join("::"));
    let line = line_of(&target[0])?;
    let allowed = target[0] == module[0]
        || line < own
        || LINES[own].0 == "start"
        || exceptions().any(|(f, t, _)| below(&from, f) && below(&to, t));
    let (ours, theirs) = (LINES[own].0, LINES[line].0);
    (!allowed).then(|| format!("`{from}` ({ours}) uses `{to}` ({theirs})"))
}

fn offence_of_word(own: usize, name: &Name) -> Option<String> {
    let word = FORBIDDEN
        .iter()
        .find(|(word, upto)| LINES[own..].iter().any(|(line, _)| line == upto) && name.holds(word));
    word.map(|(word, _)| format!("`{word}` on the line `{}`", LINES[own].0))
}

fn offence_of_place(module: &[String], name: &Name) -> Option<String> {
    let here = module.join("::");
    let (word, places) = ONLY_IN.iter().find(|(word, _)| name.holds(word))?;
    let switched_off = *word == "set_retry" && name.argument.as_deref() == Some("false");
    let allowed = switched_off || places.iter().any(|place| below(&here, place));
    (!allowed).then(|| format!("`{word}` belongs to {}", places.join(" and ")))
}

fn exceptions() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    BESIDE.iter().copied()
}

/// The height of a room's line, the lowest 0.
fn line_of(room: &str) -> Option<usize> {
    LINES.iter().position(|(_, rooms)| rooms.contains(&room))
}

/// Whether the path `inner` is `outer` or lies in it.
fn below(inner: &str, outer: &str) -> bool {
    inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// `src/routing/plan.rs` is `routing::plan`, `src/routing/mod.rs` is `routing`.
fn module_of(path: &str) -> Vec<String> {
    let path = path.trim_start_matches("src/").trim_end_matches(".rs");
    path.trim_end_matches("/mod").split('/').map(str::to_owned).collect()
}

fn is_test_file(module: &[String]) -> bool {
    module[1..].iter().any(|part| part == "tests" || part == "properties")
}

/// A name's path from the crate's root; `None` when it leads elsewhere.
fn within_crate(module: &[String], name: &Name) -> Option<Vec<String>> {
    let first = name.path.first()?.as_str();
    if matches!(first, "crate" | "freeway") {
        return Some(name.path[1..].to_vec()).filter(|path| !path.is_empty());
    }
    let up = name.path.iter().take_while(|part| *part == "super").count();
    let mut here: Vec<String> = module.iter().chain(&name.inline).cloned().collect();
    if up == 0 || up > here.len() {
        return None;
    }
    here.truncate(here.len() - up);
    here.extend_from_slice(&name.path[up..]);
    Some(here).filter(|path| !path.is_empty())
}

fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders: Vec<PathBuf> = vec![root.join("src")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a readable folder") {
            let path = entry.expect("a readable entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let name = path.strip_prefix(root).expect("below the root").to_string_lossy().into_owned();
                files.push((name, fs::read_to_string(&path).expect("UTF-8")));
            }
        }
    }
    files.sort();
    files
}

/// A path as a source names it, groups of a `use` taken apart.
struct Name {
    path: Vec<String>,
    line: usize,
    /// The modules within the file it stands in.
    inline: Vec<String>,
    in_tests: bool,
    /// The first word after `(`.
    argument: Option<String>,
}

impl Name {
    /// Whether `word`, itself a path, is part of the path.
    fn holds(&self, word: &str) -> bool {
        let word: Vec<&str> = word.split("::").collect();
        self.path.windows(word.len()).any(|window| window.iter().eq(&word))
    }
}

/// Every path in a source, comments and strings left out.
fn names(source: &str) -> Vec<Name> {
    let tokens = tokens(source);
    let text = |at: usize| tokens.get(at).map_or("", |(text, _)| text.as_str());
    let mut found = Vec::new();
    let mut depth = 0;
    let mut modules: Vec<(String, usize, bool)> = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        match text(at) {
            "{" => depth += 1,
            "}" => {
                depth -= 1;
                modules.retain(|(_, opened_at, _)| *opened_at <= depth);
            }
            "mod" if text(at + 2) == "{" => {
                let tests =
                    (at >= 4 && text(at - 2) == ")" && text(at - 3) == "test") || modules.iter().any(|m| m.2);
                modules.push((text(at + 1).to_owned(), depth + 1, tests));
                at += 1;
            }
            word if is_word(word) => {
                let mut paths = Vec::new();
                let after = path(&tokens, at, &mut Vec::new(), &mut paths);
                found.extend(paths.into_iter().map(|(path, line)| Name {
                    path,
                    line,
                    inline: modules.iter().map(|m| m.0.clone()).collect(),
                    in_tests: modules.iter().any(|m| m.2),
                    argument: (text(after) == "(").then(|| text(after + 1).to_owned()),
                }));
                at = after;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    found
}

type Token = (String, usize);

/// Reads `a::b::{c, d::e}` from `at` on, and returns where it ends.
fn path(
    tokens: &[Token],
    mut at: usize,
    prefix: &mut Vec<String>,
    paths: &mut Vec<(Vec<String>, usize)>,
) -> usize {
    let text = |at: usize| tokens.get(at).map_or("", |(text, _)| text.as_str());
    let own = prefix.len();
    loop {
        prefix.push(text(at).to_owned());
        if text(at + 1) != "::" || !(is_word(text(at + 2)) || text(at + 2) == "{") {
            paths.push((prefix.clone(), tokens[at].1));
            prefix.truncate(own);
            return at + 1;
        }
        at += 2;
        if text(at) == "{" {
            at += 1;
            while !matches!(text(at), "}" | "") {
                at = if is_word(text(at)) { path(tokens, at, prefix, paths) } else { at + 1 };
            }
            prefix.truncate(own);
            return at + 1;
        }
    }
}

fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphanumeric() || c == '_')
}

/// Words, `::`, and single other characters, each with its line.
fn tokens(source: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let (mut rest, mut line) = (source, 1);
    while let Some(first) = rest.chars().next() {
        let length = match literal_or_comment(rest) {
            Some(length) => length,
            None if is_word(rest) => {
                let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
                found.push((rest[..end].to_owned(), line));
                end
            }
            None if rest.starts_with("::") => {
                found.push(("::".to_owned(), line));
                2
            }
            None => {
                if !first.is_whitespace() {
                    found.push((first.to_string(), line));
                }
                first.len_utf8()
            }
        };
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    found
}

/// The length of what carries no names: comments, strings, characters and lifetimes.
fn literal_or_comment(rest: &str) -> Option<usize> {
    let all = rest.len();
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(all));
    }
    if rest.starts_with("/*") {
        return Some(rest.find("*/").map_or(all, |end| end + 2));
    }
    if let Some(start) = ["r", "br", "cr"].iter().find_map(|p| rest.strip_prefix(p)) {
        let hashes = start.len() - start.trim_start_matches('#').len();
        if let Some(inside) = start[hashes..].strip_prefix('"') {
            let close = format!("\"{}", "#".repeat(hashes));
            return Some(inside.find(&close).map_or(all, |end| all - inside.len() + end + close.len()));
        }
    }
    let prefix = usize::from(rest.starts_with("b\"") || rest.starts_with("b'") || rest.starts_with("c\""));
    let quote = rest[prefix..].chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let inside = &rest[prefix + 1..];
    let mut escaped = false;
    for (at, c) in inside.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return Some(prefix + 1 + at + 1),
            // A lifetime: no character is longer than one.
            _ if quote == '\'' && !inside.starts_with('\\') && at > 0 => return Some(prefix + 1),
            _ => {}
        }
    }
    Some(all)
}

/// Lines and words of the offences in a made-up file.
#[track_caller]
fn check(path: &str, source: &str, expect: &[(usize, &str)]) {
    let found = offences(path, source);
    let found: Vec<_> = found.iter().map(|o| (o.line, o.what.as_str())).collect();
    assert_eq!(found.len(), expect.len(), "{found:?}");
    for ((line, what), (at, part)) in found.iter().zip(expect) {
        assert!(line == at && what.contains(part), "{line}: {what}, and not {at}: {part}");
    }
}

#[test]
fn a_room_that_looks_up_is_found() {
    check("src/routing/plan.rs", "use super::score;\nuse crate::proxy::Gateway;", &[(2, "`proxy::Gateway`")]);
    check("src/upstream/pool.rs", "fn f() { crate::config::x() }", &[(1, "(connect)")]);
    check("src/money.rs", "use super::routing::plan;", &[(1, "`routing::plan`")]);
    check("src/services/x.rs", "use crate::cli;", &[(1, "(start)")]);
    check("src/catalog/free.rs", "use crate::{\n money,\n catalog::Date,\n};", &[(2, "`money`")]);
}

#[test]
fn a_finer_exception_covers_no_more_than_it_says() {
    check("src/protocol/normalize/bill.rs", "use crate::money::Price;", &[]);
    check("src/protocol/sse.rs", "use crate::money::Price;", &[(1, "`money::Price`")]);
    check("src/money.rs", "use crate::protocol::usage::Usage;", &[]);
    check("src/money.rs", "use crate::protocol::usages;", &[(1, "usages")]);
}

#[test]
fn the_lower_lines_stay_off_the_outside_world() {
    check("src/protocol/sse.rs", "\n\nuse std::{fmt, fs};", &[(3, "std::fs")]);
    check("src/routing/mod.rs", "fn f() { let t = Instant::now(); }", &[(1, "Instant")]);
    check(
        "src/metering/mod.rs",
        "use std::sync::{Arc, Mutex, atomic::AtomicU32};",
        &[(1, "Mutex"), (1, "atomic")],
    );
    check("src/upstream/pool.rs", "use std::sync::{Mutex, atomic::AtomicU32};", &[]);
    check("src/snapshot.rs", "use tokio::time;", &[(1, "tokio")]);
    check("src/config/mod.rs", "use std::fs;", &[]);
    check("src/proxy/admit.rs", "use std::fs;", &[(1, "belongs to cli")]);
}

#[test]
fn tests_may_read_files_but_not_use_higher_rooms() {
    let source = "fn f() {}\n#[cfg(test)]\nmod tests {\n use std::fs;\n use super::f;\n use crate::cli;\n}\nuse std::env;";
    check("src/catalog/x.rs", source, &[(6, "cli"), (8, "std::env")]);
    check("src/catalog/x/tests.rs", "use std::fs;", &[]);
}

#[test]
fn some_words_have_one_place() {
    check("src/services/x.rs", "use pingora::{server::Server, proxy::Session};", &[(1, "pingora::proxy")]);
    check("src/proxy/admit.rs", "use pingora::proxy::Session;", &[]);
    check("src/proxy/admit.rs", "fn f() { error.set_retry(true); }", &[(1, "proxy::failover")]);
    check("src/proxy/mod.rs", "fn f() { error.set_retry(false); }", &[]);
    check("src/proxy/failover.rs", "fn f() { error.set_retry(retry); }", &[]);
    check("src/elsewhere.rs", "", &[(1, "on no line")]);
}

#[test]
fn words_in_comments_and_strings_do_not_count() {
    let source = "//! crate::cli\n/* tokio */ const A: &str = \"std::fs\";\nconst B: (&str, char) = (r#\"\"tokio\"#, '\\'');\n\
                  fn f<'a>(x: &'a str) -> char { '\"' }\nuse tokio::net;";
    check("src/routing/x.rs", source, &[(5, "tokio")]);
}
