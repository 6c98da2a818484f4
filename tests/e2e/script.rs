//! What a scripted provider does with one request, as data.

use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// A script waits here until the test lets it on; each opening lets one waiter through, once.
#[derive(Clone)]
pub struct Gate(Arc<Semaphore>);

impl Gate {
    pub fn new() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    pub fn open(&self) {
        self.0.add_permits(1);
    }

    pub async fn pass(&self) {
        self.0.acquire().await.expect("gates are never closed").forget();
    }
}

/// One thing a provider does on the wire.
#[derive(Clone)]
pub enum Step {
    /// Body bytes, in one write.
    Send(Vec<u8>),
    /// Body bytes, one TCP segment (or DATA frame) each.
    Dribble(Vec<u8>),
    /// Wait for the test.
    Gate(Gate),
    /// Silence, where a test only wants some; nothing waits on its length.
    Rest(Duration),
    /// End the body properly.
    End,
    /// Close the connection without ending the body.
    Cut,
    /// Reset the connection (HTTP/2: the stream).
    Reset,
    /// Do nothing more, for ever.
    Stall,
}

/// What a provider does with one request.
#[derive(Clone)]
pub enum Script {
    /// A good answer with this text, streamed or whole as the request asks.
    Answer(String),
    /// The first for a request that wants a stream, the second for one that does not.
    Either(Box<Script>, Box<Script>),
    /// What this makes of the request's body.
    Asked(Arc<dyn Fn(&Value) -> Script + Send + Sync>),
    /// These steps after this head.
    Reply(Reply),
    /// Reads the request and never answers.
    Silent,
    /// Reads the request and closes the connection.
    HangUp,
}

/// A response head and what follows.
#[derive(Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub steps: Vec<Step>,
    /// Answers before reading the request's body, and never reads it.
    pub early: bool,
}

impl Script {
    /// A good answer, streamed or whole as the request asks.
    pub fn answer(text: &str) -> Self {
        Self::Answer(text.to_owned())
    }

    /// One script for streams, another for whole answers.
    pub fn either(streamed: Script, whole: Script) -> Self {
        Self::Either(Box::new(streamed), Box::new(whole))
    }

    /// A script that depends on the request.
    pub fn asked(choose: impl Fn(&Value) -> Script + Send + Sync + 'static) -> Self {
        Self::Asked(Arc::new(choose))
    }

    /// A good answer to this request: a call where tools are offered, JSON where JSON is asked for.
    pub fn as_asked(request: &Value) -> Self {
        let offers = |tools: &str| request.get(tools).is_some();
        if offers("response_format") {
            return Self::answer(r#"{"city":"Rome"}"#);
        }
        if !offers("tools") && !offers("functions") {
            return Self::answer("Yes.");
        }
        let call = json!({"index": 0, "id": "c1", "type": "function",
            "function": {"name": "weather", "arguments": "{\"city\":\"Rome\"}"}});
        let message = json!({"role": "assistant", "content": null, "tool_calls": [call]});
        let mut whole = completion("");
        whole["choices"][0]["message"] = message.clone();
        whole["choices"][0]["finish_reason"] = json!("tool_calls");
        let streamed = Self::stream().event(chunk(message, None)).finish("tool_calls").done();
        Self::either(streamed, Self::json(200, whole))
    }

    /// The script for a request with this body.
    pub fn for_body(self, body: &[u8]) -> Self {
        match self {
            Self::Asked(choose) => choose(&serde_json::from_slice(body).expect("the proxy sends JSON")),
            script => script,
        }
    }

    /// A JSON body with this status.
    pub fn json(status: u16, body: Value) -> Self {
        Self::body(status, "application/json", body.to_string())
    }

    /// Any body with this status.
    pub fn body(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        let headers = vec![
            ("content-type".to_owned(), content_type.to_owned()),
            ("content-length".to_owned(), body.len().to_string()),
        ];
        Self::Reply(Reply { status, headers, steps: vec![Step::Send(body), Step::End], early: false })
    }

    /// An error as OpenAI writes it.
    pub fn error(status: u16, code: &str, message: &str) -> Self {
        Self::json(status, json!({"error": {"message": message, "type": code, "param": null, "code": code}}))
    }

    /// The head of a stream; steps follow.
    pub fn stream() -> Self {
        let headers = vec![("content-type".to_owned(), "text/event-stream".to_owned())];
        Self::Reply(Reply { status: 200, headers, steps: Vec::new(), early: false })
    }

    /// One more response header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.reply().headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Answer without reading the request's body.
    pub fn early(mut self) -> Self {
        self.reply().early = true;
        self
    }

    /// One event with this JSON.
    pub fn event(self, data: Value) -> Self {
        self.raw(format!("data: {data}\n\n"))
    }

    /// One event with this much text.
    pub fn text(self, text: &str) -> Self {
        self.event(chunk(json!({"content": text}), None))
    }

    /// The first chunk of many providers: a role and nothing else.
    pub fn role(self) -> Self {
        self.event(chunk(json!({"role": "assistant", "content": ""}), None))
    }

    /// The chunk with the finish reason.
    pub fn finish(self, reason: &str) -> Self {
        self.event(chunk(json!({}), Some(reason)))
    }

    /// The usage chunk.
    pub fn usage(self, prompt: u32, completion: u32) -> Self {
        let mut event = chunk(json!({}), None);
        event["choices"] = json!([]);
        event["usage"] = usage(prompt, completion);
        self.event(event)
    }

    /// `[DONE]` and the proper end.
    pub fn done(self) -> Self {
        self.raw("data: [DONE]\n\n").step(Step::End)
    }

    /// Bytes as they are.
    pub fn raw(self, bytes: impl Into<Vec<u8>>) -> Self {
        self.step(Step::Send(bytes.into()))
    }

    /// Waits for the test.
    pub fn gate(self, gate: &Gate) -> Self {
        self.step(Step::Gate(gate.clone()))
    }

    /// Adds a step.
    pub fn step(mut self, step: Step) -> Self {
        self.reply().steps.push(step);
        self
    }

    /// The same with every byte in a segment of its own.
    pub fn dribbled(mut self) -> Self {
        for step in &mut self.reply().steps {
            if let Step::Send(bytes) = step {
                *step = Step::Dribble(std::mem::take(bytes));
            }
        }
        self
    }

    /// The head and steps for a request that wants a stream or not; `None` for those without an answer.
    pub fn resolve(&self, stream: bool) -> Option<Reply> {
        match self {
            Self::Answer(text) if stream => {
                let (head, tail) = text.split_at(text.len() / 2);
                let script = Self::stream().role().text(head).text(tail).finish("stop").usage(14, 3).done();
                script.resolve(stream)
            }
            Self::Answer(text) => Self::json(200, completion(text)).resolve(stream),
            Self::Either(streamed, whole) => if stream { streamed } else { whole }.resolve(stream),
            Self::Reply(reply) => Some(reply.clone()),
            Self::Silent | Self::HangUp | Self::Asked(_) => None,
        }
    }

    /// Whether the body stays unread.
    pub fn is_early(&self) -> bool {
        matches!(self, Self::Reply(Reply { early: true, .. }))
    }

    fn reply(&mut self) -> &mut Reply {
        match self {
            Self::Reply(reply) => reply,
            _ => panic!("only a reply has a head and steps"),
        }
    }
}

/// A whole answer as OpenAI writes it.
pub fn completion(text: &str) -> Value {
    json!({
        "id": "chatcmpl-upstream", "object": "chat.completion", "created": 1, "model": "upstream-name",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": usage(14, 3),
    })
}

/// A chunk as OpenAI writes it.
pub fn chunk(delta: Value, finish: Option<&str>) -> Value {
    json!({
        "id": "chatcmpl-upstream", "object": "chat.completion.chunk", "created": 1, "model": "upstream-name",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    })
}

/// Plain usage.
pub fn usage(prompt: u32, completion: u32) -> Value {
    json!({
        "prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion,
    })
}
