//! Freeway: a reverse proxy that answers `model: "auto"` with the best free model for the job.
//!
//! The README says how to use it; this page says how it is built.
//!
//! # The house
//!
//! Rooms stand on four lines. A room uses the lines below it, and on its own line only what
//! `tests/layering.rs` lists with a reason; that test reads the sources and names the offending line.
//!
//! | Line | Rooms | What it may do |
//! |---|---|---|
//! | start | `main`, `cli`, `server` | Wiring. Knows everything, decides nothing. |
//! | connect | `proxy`, `api`, `board`, `store`, `ledger`, `services`, `config`, `metrics`, `access_log`, `logs` | All I/O, all clocks, all of Pingora. |
//! | remember | [`upstream`], [`queue`], [`sessions`], `accounts`, `limits`, [`snapshot`] | Live state: atomics, never waits; the time is an argument. |
//! | decide | [`money`], [`catalog`], [`protocol`], [`classifier`], [`training`], [`routing`], [`metering`] | Pure: bytes and numbers in, values out. |
//!
//! The two lower lines build without the `proxy` feature, with neither Pingora nor a runtime: that is what
//! the fuzz targets use.
//!
//! | Room | Its job |
//! |---|---|
//! | [`protocol`] | The wire: [`inspect`](protocol::inspect) a request, [`rewrite`](protocol::rewrite) it for an endpoint, [`normalize`](protocol::normalize) the answer, [`errors`](protocol::errors) in the caller's dialect. |
//! | [`catalog`] | Providers, models and endpoints (this model at this provider), and which of them are free. Providers are data. |
//! | [`classifier`] | What kind of work a prompt asks for, how hard it is, how long its answer will be: linear heads over hashed features, from weights in `conf/classifier/`. |
//! | [`training`] | How those weights are made, and how good they are. |
//! | [`routing`] | [`plan`](routing::plan): filter, score, order. [`explain`](routing::explain()) the same. [`verdict`](routing::verdict) on a failed attempt. |
//! | [`metering`] | What an answer used, as its provider reports it or as counted here. |
//! | [`money`] | Credits as integers; a price times tokens, rounded once. |
//! | [`upstream`] | What is known of each endpoint right now: cooldowns, breaker, speed, what it turned out to lack. |
//! | [`queue`] | Who waits for a place at an endpoint, and whose turn it is. |
//! | [`sessions`] | Which endpoint answered a conversation last. |
//! | [`snapshot`] | Catalog and live state as one request sees them, swapped whole. |
//! | `accounts` | Who pays: keys, what a request may cost at worst, and reserving it from what is leased. |
//! | `limits` | Requests by the minute, exactly, for each client address or account. |
//! | `store` | Accounts, keys, leases and the ledger, behind a trait; SQLite. |
//! | `ledger` | The way of money through the process: leasing, the one thread that writes, waiting for it. |
//! | `api` | What accounts ask for besides answers: signing up, keys, balances, history; and the operator's part. |
//! | `board` | What people see of the pool: states, reasons, what is left of limits. |
//! | `config` | A TOML file and the environment, parsed once into a value that cannot be wrong. |
//! | `proxy` | Pingora's hooks, each in its file, and the exchange they move. |
//! | `services` | What runs beside the requests, one loop a file; the end of a process; and the simulated provider. |
//! | `metrics`, `access_log` | Every series; the one line a request leaves. |
//! | `logs` | Log lines on their way to standard error, off the request path. |
//!
//! # Life of a request
//!
//! | Pingora calls | File of `src/proxy` | What happens | What can end it |
//! |---|---|---|---|
//! | `new_ctx` | `context.rs` | The arrival is noted. | |
//! | `request_filter` | `local.rs` | The path says which dialect; model lists and health are answered here. | 200, 404, 405 |
//! | | `identify.rs` | Where there are accounts: the key says who pays. | 401, 503 |
//! | | `admit.rs` | The body is read whole, within its size, a deadline and the memory set aside for all. | 408, 413, 415, 503 |
//! | | `prepare.rs` | [`protocol::inspect`] finds in one pass what the request needs and where it may be edited. | 400 |
//! | | `idempotency.rs` | A request that was sent before is answered as it was then. | 200, 409 |
//! | | `wait.rs` | One [`snapshot::Snapshot`] is taken, [`routing::plan`] orders the candidates, and a place at the best is taken. | 400, 403, 404, 503 |
//! | | `wait.rs`, `turns.rs` | Where only limits are in the way: it waits for its turn in the [`queue`]. A client that leaves is seen at once. | 429 |
//! | | `charge.rs` | `ledger` reserves the worst case, from a lease in memory; `limits` count the request. | 402, 429, 503 |
//! | | `wrapper.rs` | The wrapper takes the place of the client's session. | |
//! | `upstream_peer` | `forward.rs`, `exchange.rs` | An attempt begins at the next candidate that takes calls; [`protocol::rewrite`] makes its body. | nobody left |
//! | `upstream_request_filter` | `forward.rs` | A new head, with our key. Nothing of the client's goes out but the rewritten body. | |
//! | the wrapper, for the body | `attempt.rs` | The body in slices, from its start for every attempt. | |
//! | the wrapper, with the answer | `exchange.rs`, `attempt.rs` | The answer is judged, metered and retold by [`protocol::normalize`]. Nothing is written before the first meaningful token. | a failed attempt |
//! | | `cap.rs` | Where the answer is paid for: a stream that may be longer than was reserved for is counted, and cut. | |
//! | the wrapper, while waiting | `wrapper.rs` | The clocks run: first token, silence, the whole request. Comments go out. A client that leaves is seen at once. | a failed attempt |
//! | `fail_to_connect`, `error_while_proxy` | `failover.rs` | [`routing::verdict`] says what the failure means, [`upstream`] learns from it. Back to `upstream_peer` if nothing was written. | nobody left |
//! | the wrapper, at the end | `wrapper.rs`, `settle.rs` | Tokens nobody reported are counted, the charge is posted, and once it is durable the last bytes go out. | |
//! | `fail_to_proxy` | `reply.rs` | The error, in the caller's dialect; within the stream if that has begun. | 4xx, 5xx |
//! | `logging` | `wrapper.rs` | The real session is given back, so that its connection can be kept. | |
//! | `Drop` of the exchange | `settle.rs` | What was not posted is void. Metrics, and the access line. | |
//!
//! ## Why a wrapper session and not Pingora's filters
//!
//! Pingora's response filters are the obvious place to judge an answer, and were not taken:
//!
//! - They are synchronous. Counting tokens and making a charge durable are not, and the end of an answer has
//!   to wait for both.
//! - They see one piece of a batch at a time, and an error from one discards what earlier pieces of the batch
//!   had put out: a stream that breaks would lose its last tokens.
//! - Head, body and end of an answer, the clocks and the client's departure meet in one place instead of five.
//! - Pingora keeps at most 64 KiB of a request for a retry; prompts are larger, and every endpoint needs a
//!   body of its own.
//!
//! The price: the session trait is hidden from Pingora's documentation, so its version is pinned, one file
//! names the trait, and the end-to-end tests watch its behaviour.
//!
//! # What always holds
//!
//! - **Failover.** Before the first meaningful token every failure of an upstream is invisible. Two attempts
//!   never share one answer. Only `proxy/failover.rs` marks an error as retryable.
//! - **Only free models.** Nothing outside the catalog is called, and what gets into it is free by its listed
//!   prices, or by the key's free tier where `conf/providers.toml` says so.
//! - **Nothing leaks.** Upstream heads are made anew; downstream heads too. Prompts, answers and keys are in no
//!   log, metric, error or `Debug`. A provider's words never reach a client as ours.
//! - **The request path never waits** but for the client, the upstream, a lease that has run out, a place
//!   while all are taken, and the commit before an answer ends: it reads one snapshot, writes
//!   atomics, and holds the lock of its own exchange for a few instructions. Long bodies and long texts are
//!   read off the workers.
//! - **Everything has a bound**: bodies, events, depths, names, candidates, attempts, clocks; each a setting or
//!   a constant with its reason.
//! - **Foreign bytes are data.** Parsed strictly, edited only in known spans, otherwise kept byte for byte.
//!   Nothing a client names is fetched.
//! - **Settled once.** A request leaves one access line and at most one charge, even through a panic.
//! - **Money.** Integers only. The store holds balances, an append-only ledger, and what each process has
//!   leased. Requests reserve from a lease, so no account spends what it does not have, however many requests
//!   or processes it uses at one time. A charge is at most what was reserved, and its ledger row, the balance
//!   and the lease change in one transaction. The end of an answer goes out after that: whatever dies, every
//!   answer whose end was seen is in the ledger exactly once. The leases of a process that died return whole,
//!   and what it had not finished costs nothing.
//! - **No money, no service.** While the store fails, new requests get a 503: never a 401, and never a free
//!   ride. Running answers end, and their charges wait for it.
//! - **A provider's quota is inventory.** Every limit is counted here, by model, key and account, before a request
//!   is sent: choosing an endpoint and taking a place in all its limits are one step, and what the answer used
//!   corrects that. Providers are believed when they say that less is left. Rest and guesses never leave a
//!   request without anybody to ask.
//! - **Explainable.** The same facts, snapshot, policy and seed give the same plan, and the explanation comes
//!   from the function that plans.
//!
//! # Where is…
//!
//! | To change | Go to |
//! |---|---|
//! | what a provider rejects, renames, limits and says of it | `conf/providers.toml`; `tests/profiles.rs` checks it |
//! | how a provider's model list is read | `src/catalog/lists/` |
//! | when lists are read, and what is kept of them | `src/services/catalog_sync.rs` and below it |
//! | what the operator changes of a provider | `src/config/providers.rs` |
//! | a model that is listed but not served | `src/upstream/gone.rs` |
//! | what counts as free | `src/catalog/free.rs` |
//! | what models are good at | `conf/models.toml`, read by `src/catalog/strengths.rs` |
//! | what an endpoint turns out to do badly | `src/upstream/fitness.rs` |
//! | what a request is found to need | `src/protocol/inspect/` |
//! | task, difficulty, expected length | `src/classifier/`; `src/training/fit.rs` for what is learned, and `freeway train` |
//! | what quality, time and scarcity are worth | `src/routing/worth.rs`; `src/routing/score.rs` puts them together |
//! | who is looked at, and in which order they are asked | `src/routing/{mod,shortlist,found,order}.rs` |
//! | what a status or an error text means | `src/routing/verdict.rs` and `verdict/words.rs` |
//! | what is left of a limit | `src/upstream/quota/` |
//! | for whom strong models are kept | `src/routing/keep.rs` |
//! | whether a conversation stays with its model | `src/routing/stick.rs`; which one it is: `src/proxy/sessions.rs` |
//! | how "try again later" is read | `src/upstream/hints.rs`: how long; `src/upstream/hints/met.rs`: which limit |
//! | how a good answer says what is left | `src/upstream/limit_headers.rs` |
//! | when an endpoint is left alone | `src/upstream/{health,breaker}.rs` |
//! | when an answer is of no use | `src/protocol/normalize/watch.rs`, `src/protocol/schema.rs`, `src/proxy/flawed.rs` |
//! | how many retries there may be | `src/upstream/budget.rs` |
//! | the shape of answers | `src/protocol/normalize/` |
//! | the status and words of an error | `src/protocol/errors/kind.rs` |
//! | whose tokens count | `src/metering/mod.rs` |
//! | how much is reserved | `src/accounts/sizing.rs` |
//! | who waits, how long, and whose turn it is | `src/queue/`, `src/proxy/{wait,turns}.rs` |
//! | who is let in | `src/accounts/admission.rs`, `src/limits/` |
//! | what is stored | `src/store/`: the operations, then each database |
//! | paths, health | `src/proxy/local.rs` |
//! | model rows | `src/proxy/models.rs` |
//! | what people see of endpoints, limits and keys | `src/board/`, `src/metrics/endpoints.rs` |
//! | paths about accounts, and the operator's | `src/api/{route,admin}.rs` |
//! | a caller's own provider key | `src/proxy/own_keys.rs`, `src/upstream/borrowed.rs` |
//! | headers | `src/proxy/forward.rs` up, `src/proxy/reply.rs` down |
//! | a setting | `src/config/file.rs`, then the README's table and `conf/single-node.toml`; a test compares them |
//! | a metric | `src/metrics.rs` or `metrics/`, then the README's table |
//! | what of limits and conversations outlives a restart | `src/upstream/memory.rs`, `src/sessions/`, `src/services/state_keeper.rs` |
//! | how a process stops, and another takes over | `src/services/drain.rs`, `src/server/{handover,front}.rs` |
//! | the simulated models | `conf/simulated.toml`, `src/services/simulate/` |
//! | a known quirk of a provider | `tests/fixtures/`, one file or two |
//!
//! To mount Freeway in a Pingora server of your own, see `server::Freeway`.

pub mod catalog;

pub mod classifier;
pub mod metering;
pub mod money;
pub mod protocol;
pub mod queue;
pub mod routing;
pub mod sessions;
pub mod snapshot;
pub mod training;
pub mod upstream;

#[cfg(feature = "proxy")]
pub mod access_log;
#[cfg(feature = "proxy")]
pub mod accounts;
#[cfg(feature = "proxy")]
pub mod api;
#[cfg(feature = "proxy")]
pub mod board;
#[cfg(feature = "proxy")]
pub mod cli;
#[cfg(feature = "proxy")]
pub mod config;
#[cfg(feature = "proxy")]
pub mod ledger;
#[cfg(feature = "proxy")]
pub mod limits;
#[cfg(feature = "proxy")]
pub mod logs;
#[cfg(feature = "proxy")]
pub mod metrics;
#[cfg(feature = "proxy")]
pub mod proxy;
#[cfg(feature = "proxy")]
pub mod server;
#[cfg(feature = "proxy")]
pub mod services;
#[cfg(feature = "proxy")]
pub mod store;
