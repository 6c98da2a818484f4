//! `Idempotency-Key`: a request that is sent again is charged once.
//!
//! Answers are remembered here, in memory, for a while; that a key was charged for is remembered by the
//! ledger, for a day and for all processes. Nothing of an answer is ever written to a file.

use crate::accounts::AccountId;
use crate::protocol::errors::{ApiError, ErrorKind};
use crate::store::{Idempotency, Receipt};
use bytes::Bytes;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Characters of a key.
const MAX_KEY: usize = 255;
/// The longest answer that is kept.
const MAX_ANSWER: usize = 64 << 10;
/// All answers together.
const MAX_BYTES: usize = 64 << 20;
/// Keys in use and answers kept.
const MAX_ENTRIES: usize = 100_000;
/// How long an answer is kept.
const ANSWER_MS: u64 = 10 * 60_000;
/// How long the ledger remembers that a key was charged for.
const RECEIPT_MS: u64 = 24 * 60 * 60_000;
/// Larger bodies are hashed off the worker thread: a megabyte takes 2 ms without the processor's help.
const HASH_INLINE_BYTES: usize = 1 << 20;

/// What a request says of itself: an account's key, and the body it came with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Once {
    account: AccountId,
    key: [u8; 32],
    body: [u8; 32],
}

/// An answer that can be given again.
#[derive(Debug, PartialEq)]
pub(super) struct Kept {
    pub(super) id: String,
    pub(super) content_type: &'static str,
    pub(super) body: Bytes,
}

/// What is known of a key when a request comes with it.
#[derive(Debug)]
pub(super) enum Found {
    /// Nothing: it is this request's now.
    Nothing(Claim),
    /// The answer.
    Answer(Arc<Kept>),
    /// It cannot be answered.
    Refused(Box<ApiError>),
}

/// The keys in use and the answers kept.
#[derive(Debug, Default)]
pub(super) struct Replays(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    entries: HashMap<(AccountId, [u8; 32]), Entry>,
    /// The keys of kept answers, oldest first, and until when they are.
    kept: VecDeque<((AccountId, [u8; 32]), u64)>,
    /// Of answers, kept or being recorded.
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    body: [u8; 32],
    /// `None` while the request is under way.
    answer: Option<Arc<Kept>>,
}

/// A key that is this request's. Dropping it sets the key free.
pub(super) struct Claim {
    replays: Arc<Replays>,
    once: Once,
    /// What has been sent so far; `None` once it is too much.
    recorded: Option<Vec<u8>>,
    kept: bool,
}

impl Once {
    /// Reads the header's value.
    ///
    /// # Errors
    /// 400 when it is empty or too long.
    pub(super) async fn read(
        account: AccountId,
        path: &str,
        header: &[u8],
        body: &Bytes,
    ) -> Result<Self, Box<ApiError>> {
        if header.is_empty() || header.len() > MAX_KEY {
            let words = format!("the Idempotency-Key header must have 1 to {MAX_KEY} characters");
            return Err(Box::new(ApiError::new(ErrorKind::InvalidRequest, words)));
        }
        let key = Sha256::new().chain_update(path).chain_update([0]).chain_update(header).finalize().into();
        let body = match body.len() {
            ..=HASH_INLINE_BYTES => Sha256::digest(body).into(),
            _ => {
                let shared = body.clone();
                let hashed = tokio::task::spawn_blocking(move || Sha256::digest(&shared).into()).await;
                hashed.unwrap_or_else(|_| Sha256::digest(body).into())
            }
        };
        Ok(Self { account, key, body })
    }

    /// The key as the ledger knows it.
    pub(super) const fn ledger_key(&self) -> [u8; 32] {
        self.key
    }

    /// What is written beside the charge.
    pub(super) const fn idempotency(&self, now_ms: u64) -> Idempotency {
        Idempotency { key: self.key, body: self.body, expires_ms: now_ms + RECEIPT_MS }
    }

    /// What to say when the key has been charged for and the answer is not kept any more.
    pub(super) fn receipt(&self, receipt: &Receipt) -> Box<ApiError> {
        if receipt.body != self.body {
            return other_body();
        }
        let words = "this Idempotency-Key was answered and charged before, and the answer is not kept any more; \
                     use another key to ask again";
        let usage = &receipt.usage;
        let told = json!({
            "id": receipt.id,
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "credits": super::charge::credits(receipt.charged),
            "partial": receipt.partial,
        });
        Box::new(ApiError::new(ErrorKind::Conflict, words).with("receipt", told))
    }

    const fn entry(&self) -> (AccountId, [u8; 32]) {
        (self.account, self.key)
    }
}

impl Replays {
    /// Takes the key for this request, unless it is in use or its answer is there.
    pub(super) fn find(self: &Arc<Self>, once: Once, now_ms: u64) -> Found {
        let mut state = self.lock();
        state.forget(now_ms);
        match state.entries.get(&once.entry()) {
            Some(entry) if entry.body != once.body => return Found::Refused(other_body()),
            Some(Entry { answer: Some(kept), .. }) => return Found::Answer(Arc::clone(kept)),
            Some(_) => return Found::Refused(in_flight()),
            None => {}
        }
        if state.entries.len() >= MAX_ENTRIES && !state.forget_oldest() {
            let words = "too many requests with an Idempotency-Key at once; try again in a moment";
            let error = ApiError::new(ErrorKind::Unavailable, words).retry_after_s(1);
            return Found::Refused(Box::new(error));
        }
        state.entries.insert(once.entry(), Entry { body: once.body, answer: None });
        let recorded = Some(Vec::new());
        Found::Nothing(Claim { replays: Arc::clone(self), once, recorded, kept: false })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn forget(&mut self, now_ms: u64) {
        while self.kept.front().is_some_and(|(_, until_ms)| *until_ms <= now_ms) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) -> bool {
        let Some((key, _)) = self.kept.pop_front() else { return false };
        if let Some(Entry { answer: Some(kept), .. }) = self.entries.remove(&key) {
            self.bytes -= kept.body.len();
        }
        true
    }

    /// Sets memory aside; older answers make room.
    fn take(&mut self, bytes: usize) -> bool {
        while self.bytes + bytes > MAX_BYTES {
            if !self.forget_oldest() {
                return false;
            }
        }
        self.bytes += bytes;
        true
    }
}

impl Claim {
    pub(super) const fn once(&self) -> &Once {
        &self.once
    }

    /// These bytes of the answer go out.
    pub(super) fn record(&mut self, bytes: &[u8]) {
        let Some(recorded) = &mut self.recorded else { return };
        let fits = recorded.len() + bytes.len() <= MAX_ANSWER && self.replays.lock().take(bytes.len());
        if fits {
            recorded.extend_from_slice(bytes);
        } else {
            self.forget_recorded();
        }
    }

    /// The answer is whole: it is given again to whoever asks with this key.
    pub(super) fn keep(&mut self, id: &str, content_type: &'static str, now_ms: u64) {
        let Some(recorded) = self.recorded.take() else { return };
        let mut state = self.replays.lock();
        if let Some(entry) = state.entries.get_mut(&self.once.entry()) {
            let body = Bytes::from(recorded);
            entry.answer = Some(Arc::new(Kept { id: id.to_owned(), content_type, body }));
            state.kept.push_back((self.once.entry(), now_ms + ANSWER_MS));
            self.kept = true;
        }
    }

    fn forget_recorded(&mut self) {
        if let Some(recorded) = self.recorded.take() {
            self.replays.lock().bytes -= recorded.len();
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.forget_recorded();
        if !self.kept {
            self.replays.lock().entries.remove(&self.once.entry());
        }
    }
}

impl std::fmt::Debug for Claim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Claim(…)")
    }
}

fn in_flight() -> Box<ApiError> {
    let words = "the request with this Idempotency-Key is still running";
    let mut error = ApiError::new(ErrorKind::Conflict, words).retry_after_s(1);
    error.retryable = Some(true);
    Box::new(error)
}

fn other_body() -> Box<ApiError> {
    let words = "this Idempotency-Key was used before for another request; use a new one";
    Box::new(ApiError::new(ErrorKind::Conflict, words))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn once(key: u8, body: u8) -> Once {
        Once { account: AccountId::new(1), key: [key; 32], body: [body; 32] }
    }

    #[track_caller]
    fn claim(replays: &Arc<Replays>, once: Once, now_ms: u64) -> Claim {
        match replays.find(once, now_ms) {
            Found::Nothing(claim) => claim,
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn refused(replays: &Arc<Replays>, once: Once) -> Vec<(&'static str, String)> {
        match replays.find(once, 0) {
            Found::Refused(error) => error.headers(),
            other => panic!("{other:?}"),
        }
    }

    fn keep(claim: &mut Claim, bytes: usize, now_ms: u64) {
        claim.record(&vec![b'x'; bytes]);
        claim.keep("gen-1", "application/json", now_ms);
    }

    #[test]
    fn an_answer_is_given_again_for_ten_minutes() {
        let replays = Arc::new(Replays::default());
        keep(&mut claim(&replays, once(1, 1), 0), 10, 0);
        for (now_ms, there) in [(0, true), (ANSWER_MS - 1, true), (ANSWER_MS, false)] {
            assert_eq!(matches!(replays.find(once(1, 1), now_ms), Found::Answer(_)), there, "{now_ms}");
        }
        assert_eq!(replays.lock().bytes, 0);
    }

    #[test]
    fn a_key_in_use_is_refused_and_free_again_when_nothing_came_of_it() {
        let replays = Arc::new(Replays::default());
        let first = claim(&replays, once(1, 1), 0);
        let should_retry = |headers: &[(&str, String)]| headers[headers.len() - 1].1.clone();
        assert_eq!(should_retry(&refused(&replays, once(1, 1))), "true");
        assert_eq!(should_retry(&refused(&replays, once(1, 2))), "false");
        drop(first);
        drop(claim(&replays, once(1, 2), 0));
        assert!(replays.lock().entries.is_empty());
    }

    #[test]
    fn another_body_is_refused() {
        let replays = Arc::new(Replays::default());
        keep(&mut claim(&replays, once(1, 1), 0), 10, 0);
        assert_eq!(refused(&replays, once(1, 2)), [("x-should-retry", "false".to_owned())]);
        drop(claim(&replays, once(2, 2), 0));
    }

    #[test]
    fn the_length_of_an_answer_is_bounded() {
        let replays = Arc::new(Replays::default());
        for (bytes, there) in [(MAX_ANSWER, true), (MAX_ANSWER + 1, false)] {
            let of = once(there.into(), 1);
            keep(&mut claim(&replays, of, 0), bytes, 0);
            assert_eq!(matches!(replays.find(of, 0), Found::Answer(_)), there, "{bytes}");
        }
        assert_eq!(replays.lock().bytes, MAX_ANSWER);
    }

    #[test]
    fn the_oldest_answers_make_room() {
        let replays = Arc::new(Replays::default());
        let number = MAX_BYTES / MAX_ANSWER + 1;
        let of = |i: usize| {
            let mut once = once((i / 256) as u8, 0);
            once.key[0] = i as u8;
            once
        };
        (0..number).for_each(|i| keep(&mut claim(&replays, of(i), 0), MAX_ANSWER, 0));
        assert_eq!(replays.lock().bytes, MAX_BYTES);
        assert!(matches!(replays.find(of(number - 1), 0), Found::Answer(_)));
        drop(claim(&replays, of(0), 0));
    }

    #[test]
    fn what_is_recorded_counts_until_it_is_dropped() {
        let replays = Arc::new(Replays::default());
        let mut running = claim(&replays, once(1, 1), 0);
        running.record(b"so far");
        assert_eq!(replays.lock().bytes, 6);
        drop(running);
        assert_eq!(replays.lock().bytes, 0);
    }

    #[tokio::test]
    async fn a_key_belongs_to_an_account_and_a_path() {
        let body = Bytes::from_static(b"{}");
        let (one, two) = (AccountId::new(1), AccountId::new(2));
        let of = |account, path, header: &'static [u8]| Once::read(account, path, header, &body);
        let first = of(one, "/v1/x", b"key").await.expect("a key");
        assert_eq!(of(one, "/v1/x", b"key").await, Ok(first));
        assert_ne!(of(one, "/v1/y", b"key").await, Ok(first));
        assert_ne!(of(one, "/v1/x", b"kez").await, Ok(first));
        assert_ne!(of(two, "/v1/x", b"key").await, Ok(first));
        for (length, fine) in [(0, false), (1, true), (255, true), (256, false)] {
            let header = vec![b'k'; length];
            assert_eq!(Once::read(one, "/", &header, &body).await.is_ok(), fine, "{length}");
        }
    }
}
