//! What one pass over a request body finds: everything the later rooms decide from.

use super::field::Field;
use crate::catalog::{OwnKeys, Requirements};
use std::borrow::Cow;

/// A range of the body, in bytes. Bodies are far below 4 GiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// The bytes it covers.
    pub fn of(self, body: &[u8]) -> &[u8] {
        &body[self.start as usize..self.end as usize]
    }

    /// Its length in bytes.
    pub fn len(self) -> usize {
        (self.end - self.start) as usize
    }

    /// Whether it covers nothing.
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// Everything known of a request after inspection. Owns no prompt text, only spans of the body.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RequestFacts {
    /// The `model` as asked, unescaped; `None` when absent or null.
    pub model: Option<String>,
    /// `stream: true`.
    pub stream: bool,
    /// `stream_options.include_usage: true`.
    pub include_usage: bool,
    /// `n`, 1 when absent.
    pub choices: u32,
    /// What a model must be able to do.
    pub requirements: Requirements,
    /// What the caller wants of the router.
    pub preferences: Preferences,
    /// What the answer has to be like.
    pub expected: Expected,
    /// What the classifier looks at.
    pub features: PromptFeatures,
    /// Where the body may be edited.
    pub edits: Edits,
    /// Keys of the caller's own, which come beside the body.
    pub own_keys: OwnKeys,
    /// What the first system message and the first other message contain, as written: how a conversation
    /// begins, and goes on beginning.
    pub opening: [Option<Span>; 2],
    /// The conversation it is part of. Found out beside the body, since that takes to know who asks.
    pub session: Option<Session>,
}

/// The conversation a request is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// A hash that gives nothing of it away: of whoever asks, the model asked for, and the session.
    pub key: u64,
    /// It is held to the model that answered it before. Not so the first turn of a conversation that has no
    /// name: it may be anybody's.
    pub holds: bool,
}

/// What the answer to a request has to be like, to be of use to whoever asked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Expected {
    /// Names of the functions it may call, between the quotes as written.
    pub functions: Vec<Span>,
    /// There are other tools as well, which the provider runs or which are of a kind unknown here.
    pub other_tools: bool,
    /// It has to call one: `tool_choice` is `required` or names it.
    pub must_call: bool,
    /// The one it has to call.
    pub forced: Option<Span>,
    /// It has to be JSON.
    pub json: Option<Json>,
}

/// What kind of JSON an answer has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Json {
    /// Any object or list: `json_object`.
    Any,
    /// What this schema describes.
    Schema(Span),
}

impl Expected {
    /// Whether an answer can be told from one that is of no use.
    pub fn is_anything(&self) -> bool {
        self.json.is_some() || !self.functions.is_empty()
    }
}

/// The caller's wishes: filters and orderings over the pool, never a way to a paid model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Preferences {
    /// `models[]`: ordered preference list.
    pub models: Vec<String>,
    /// `provider.order[]`.
    pub order: Vec<String>,
    /// `provider.only[]`; empty for no restriction.
    pub only: Vec<String>,
    /// `provider.ignore[]`.
    pub ignore: Vec<String>,
    /// `provider.allow_fallbacks: false`: one attempt only.
    pub no_fallbacks: bool,
    /// `provider.require_parameters: true`: soft requirements become hard.
    pub require_parameters: bool,
    /// `provider.data_collection: "deny"` or `provider.zdr: true`.
    pub deny_data_collection: bool,
    /// `provider.sort` (or its `by`).
    pub sort: Option<Sort>,
    /// `provider.sort.partition: "none"`: the order of `models` does not come before the sort.
    pub across_models: bool,
    /// `provider.quantizations[]`, in lower case; empty for any.
    pub quantizations: Vec<String>,
    /// `provider.preferred_min_throughput`, tokens a second: slower endpoints come last.
    pub min_tokens_per_s: Option<f32>,
    /// `provider.preferred_max_latency`, here in milliseconds: those that begin later come last.
    pub max_ttft_ms: Option<f32>,
    /// `x-freeway-quality`, which comes beside the body: quality (1) against speed (0) for this request.
    pub quality: Option<f32>,
    /// Patterns of the `auto-router` plugin a model id must match; empty for all.
    pub allowed_models: Vec<String>,
    /// Patterns of the `auto-router` plugin that exclude; they win over allows.
    pub excluded_models: Vec<String>,
    /// `plugins: context-compression` or `transforms: ["middle-out"]`: half the context is enough.
    pub context_compression: bool,
    /// `pin_model` of the `auto-router` plugin: the model that the last answer in the history names.
    pub pinned_model: Option<String>,
    /// `session_id`.
    pub session: Option<String>,
    /// `prompt_cache_key`, where it is short enough to name a session.
    pub cache_key: Option<String>,
}

/// `provider.sort`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// All prices are 0: no effect.
    Price,
    /// Fastest output first.
    Throughput,
    /// Shortest time to first token first.
    Latency,
    /// Best quality first (`exacto`).
    Quality,
}

/// Who said a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// `system` or `developer`.
    System,
    /// `user`.
    User,
    /// `assistant`.
    Assistant,
    /// `tool` or the older `function`.
    Tool,
}

/// One text of a message, still JSON-escaped in the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text {
    /// Who said it.
    pub role: Role,
    /// Position of its message.
    pub message: u32,
    /// The string between its quotes.
    pub span: Span,
}

/// What the classifier decides from; counts, and spans of the text itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PromptFeatures {
    /// Number of messages.
    pub messages: u32,
    /// Number of user messages.
    pub user_turns: u32,
    /// Every text in order.
    pub texts: Vec<Text>,
    /// Bytes of text outside the user's messages: system, tools' answers, the assistant's.
    pub context_bytes: u32,
    /// Bytes of the user's text.
    pub user_bytes: u32,
    /// Bytes of `tools`/`functions`.
    pub tool_bytes: u32,
    /// Number of tools offered.
    pub tools: u32,
    /// Bytes of the JSON schema asked for.
    pub schema_bytes: u32,
    /// Images, audio, video and file parts.
    pub attachments: u32,
    /// A tool was called or answered in the history.
    pub tool_history: bool,
    /// Effort asked of a reasoning model, 0 (none) to 5 (max); `None` when unset.
    pub reasoning_effort: Option<u8>,
}

/// How much a reasoning model should think.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// Not at all.
    None,
    /// As little as it can.
    Minimal,
    /// A little.
    Low,
    /// The usual.
    Medium,
    /// Much.
    High,
    /// Very much.
    XHigh,
    /// As much as it can.
    Max,
}

impl Effort {
    /// The effort of this name in requests.
    pub fn of(name: &str) -> Option<Self> {
        Some(match name {
            "none" => Self::None,
            "minimal" => Self::Minimal,
            "low" => Self::Low,
            "medium" => Self::Medium,
            "high" => Self::High,
            "xhigh" => Self::XHigh,
            "max" => Self::Max,
            _ => return None,
        })
    }

    /// From 0 (none) to 5 (the two highest).
    pub const fn level(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Minimal => 1,
            Self::Low => 2,
            Self::Medium => 3,
            Self::High => 4,
            Self::XHigh | Self::Max => 5,
        }
    }
}

/// A member of the body's top-level object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Which field it is.
    pub field: Field,
    /// Its key, between the quotes as written.
    pub key: Span,
    /// Its value.
    pub value: Span,
}

impl Member {
    /// Its name with escapes resolved.
    pub fn name<'a>(&self, body: &'a [u8]) -> Cow<'a, str> {
        if self.field != Field::Other {
            return Cow::Borrowed(self.field.name());
        }
        let raw = self.key.of(body);
        if raw.contains(&b'\\') {
            let quoted = Span { start: self.key.start - 1, end: self.key.end + 1 };
            if let Ok(name) = serde_json::from_slice(quoted.of(body)) {
                return Cow::Owned(name);
            }
        }
        String::from_utf8_lossy(raw)
    }
}

/// Where the body may be edited: all members of the top-level object, and a few places below.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Edits {
    /// First byte of the object (its `{`).
    pub object_start: u32,
    /// One past the last byte of the object (its `}` is before it).
    pub object_end: u32,
    /// Top-level members in order. At most [`super::inspect::MAX_MEMBERS`].
    pub members: Vec<Member>,
    /// `name` members of messages in order: key quote to value end. At most one a message.
    pub message_names: Vec<Span>,
    /// `model` members of answers in the history, where they are for the router: as above.
    pub message_models: Vec<Span>,
    /// Items of `plugins` that cost nothing and choose no model.
    pub free_plugins: Vec<Span>,
    /// `reasoning.effort`, where `reasoning_effort` does not say it already.
    pub reasoning_effort: Option<Effort>,
    /// `tool_choice: "none"`, or its older spelling: tools may go if the model cannot take them.
    pub tools_forbidden: bool,
}
