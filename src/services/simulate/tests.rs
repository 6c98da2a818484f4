use super::*;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;

const MODEL: &str = r#"[[model]]
id = "sim/m"
context = 1000
max_output = 500
inputs = ["text"]
supports = ["tools", "structured_outputs"]
output_tokens = 30
"#;

/// Serves models until dropped.
struct Server(SocketAddr, #[expect(dead_code, reason = "dropping it ends the server")] oneshot::Sender<()>);

impl Server {
    fn start(toml: &str) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let (stop, stopped) = oneshot::channel::<()>();
        let models = SimulatedModels::parse(toml).expect("models");
        tokio::spawn(serve(listener, models, async { drop(stopped.await) }));
        Self(address, stop)
    }

    async fn send(&self, request: String) -> TcpStream {
        let mut stream = TcpStream::connect(self.0).await.expect("connects");
        stream.write_all(request.as_bytes()).await.expect("sent");
        stream
    }

    /// Status and de-chunked body; `None` for the body where the connection broke first.
    async fn post(&self, path: &str, body: &Value) -> (u16, Option<String>) {
        let mut stream = self.send(post(path, body)).await;
        let mut raw = Vec::new();
        // A broken connection may end in an error or in an early end.
        let _ = stream.read_to_end(&mut raw).await;
        parse(&String::from_utf8(raw).expect("text"))
    }

    async fn chat(&self, body: Value) -> (u16, Value) {
        let (status, body) = self.post("/v1/chat/completions", &body).await;
        (status, serde_json::from_str(&body.expect("a whole body")).expect("JSON"))
    }

    async fn events(&self, body: Value) -> Vec<String> {
        let (status, body) = self.post("/v1/chat/completions", &body).await;
        assert_eq!(status, 200);
        let body = body.expect("a whole body");
        body.split_terminator("\n\n")
            .map(|e| e.strip_prefix("data: ").expect("an event").to_owned())
            .collect()
    }
}

fn post(path: &str, body: &Value) -> String {
    let body = body.to_string();
    format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn parse(raw: &str) -> (u16, Option<String>) {
    let (head, mut rest) = raw.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status");
    if !head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        return (status, Some(rest.to_owned()));
    }
    let mut body = String::new();
    loop {
        let Some((size, after)) = rest.split_once("\r\n") else { return (status, None) };
        match usize::from_str_radix(size, 16).expect("a size") {
            0 => return (status, Some(body)),
            size => {
                body.push_str(&after[..size]);
                rest = &after[size + 2..];
            }
        }
    }
}

fn ask(more: Value) -> Value {
    let mut body =
        json!({"model": "sim/m", "messages": [{"role": "user", "content": "What is the capital?"}]});
    for (key, value) in more.as_object().expect("an object") {
        body[key] = value.clone();
    }
    body
}

fn with_fault(fault: &str) -> String {
    format!("{MODEL}\n[[model.fault]]\n{fault}\n")
}

#[test]
fn the_built_in_models_are_in_order_and_cover_every_capability_class() {
    let models = SimulatedModels::built_in();
    for name in
        ["image", "audio", "video", "file", "tools", "structured_outputs", "response_format", "reasoning"]
    {
        assert!(models.model.iter().any(|m| m.knows(name)), "{name}");
    }
    assert!(models.model.iter().all(|m| m.id.starts_with("simulated/") && m.id.ends_with(":free")));
    let list: Value = serde_json::from_slice(&models.list()).expect("JSON");
    assert_eq!(list["data"].as_array().map(Vec::len), Some(models.model.len()));
    assert_eq!(list["data"][0]["pricing"]["prompt"], "0");
}

#[test]
fn wrong_models_are_refused_by_name() {
    for (toml, says) in [
        ("model = []", "at least one"),
        (&format!("{MODEL}{MODEL}"), "id of its own"),
        (&format!("{MODEL}speed = 1"), "unknown field `speed`"),
        (&with_fault("kind = \"empty\"\nevery = 0"), "fault.every"),
        (&with_fault("kind = \"status\"\nevery = 1\nstatus = 200"), "fault.status"),
        (&format!("{MODEL}tokens_per_s = -1.0"), "tokens_per_s"),
    ] {
        let error = SimulatedModels::parse(toml).expect_err(toml).to_string();
        assert!(error.contains(says), "{error}");
    }
}

#[tokio::test]
async fn the_same_request_gets_the_same_answer() {
    let server = Server::start(MODEL);
    let (status, first) = server.chat(ask(json!({}))).await;
    let (_, second) = server.chat(ask(json!({}))).await;
    assert_eq!(status, 200);
    let text = first["choices"][0]["message"]["content"].as_str().expect("text");
    assert!(text.starts_with("This is a simulated answer from sim/m to: What is the capital?"), "{text}");
    assert_eq!(first["choices"], second["choices"]);
    assert_eq!(first["choices"][0]["finish_reason"], "stop");
    assert_eq!(first["usage"]["completion_tokens"], 30);
    assert_eq!(
        first["usage"]["total_tokens"],
        30 + first["usage"]["prompt_tokens"].as_u64().expect("a count")
    );
}

#[tokio::test]
async fn a_stream_is_the_same_answer_in_tokens() {
    let server = Server::start(MODEL);
    let (_, whole) = server.chat(ask(json!({"n": 2}))).await;
    let events =
        server.events(ask(json!({"n": 2, "stream": true, "stream_options": {"include_usage": true}}))).await;
    assert_eq!(events.len(), 2 * (1 + 30 + 1) + 1 + 1);
    assert_eq!(events.last().map(String::as_str), Some("[DONE]"));
    let chunks: Vec<Value> =
        events[..events.len() - 1].iter().map(|e| serde_json::from_str(e).expect("JSON")).collect();
    assert_eq!(chunks.last().expect("usage")["usage"], whole["usage"]);
    for (i, choice) in whole["choices"].as_array().expect("choices").iter().enumerate() {
        let deltas = chunks.iter().map(|c| &c["choices"][0]).filter(|c| c["index"] == i);
        let text: String = deltas.filter_map(|c| c["delta"]["content"].as_str()).collect();
        assert_eq!(choice["message"]["content"], text);
    }
}

#[tokio::test]
async fn an_output_limit_cuts_the_answer() {
    let (_, reply) = Server::start(MODEL).chat(ask(json!({"max_tokens": 5}))).await;
    assert_eq!(reply["choices"][0]["finish_reason"], "length");
    assert_eq!(reply["usage"]["completion_tokens"], 5);
}

#[tokio::test]
async fn a_schema_gets_an_instance_and_a_tool_gets_called() {
    let server = Server::start(MODEL);
    let schema = json!({"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}});
    let format = json!({"type": "json_schema", "json_schema": {"name": "x", "schema": schema}});
    let (_, reply) = server.chat(ask(json!({"response_format": format}))).await;
    assert_eq!(reply["choices"][0]["message"]["content"], r#"{"city":"simulated"}"#);
    let tools = json!([{"type": "function", "function": {"name": "look_up", "parameters": schema}}]);
    let call = ask(json!({"tools": tools, "tool_choice": "required"}));
    let (_, reply) = server.chat(call.clone()).await;
    assert_eq!(reply["choices"][0]["finish_reason"], "tool_calls");
    let function = &reply["choices"][0]["message"]["tool_calls"][0]["function"];
    assert_eq!(*function, json!({"name": "look_up", "arguments": r#"{"city":"simulated"}"#}));
    let (_, reply) = server.chat(ask(json!({"tools": tools}))).await;
    assert_eq!(reply["choices"][0]["finish_reason"], "stop", "nobody asked for a call");
    let mut streamed = call;
    streamed["stream"] = json!(true);
    let events = server.events(streamed).await;
    assert!(events[1].contains("look_up") && events[2].contains("\"tool_calls\""), "{events:?}");
}

#[tokio::test]
async fn what_a_model_cannot_do_is_refused_as_by_a_real_provider() {
    let server = Server::start(MODEL);
    let image = json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}]);
    let long = json!([{"role": "user", "content": "x".repeat(5000)}]);
    for (more, status, says) in [
        (json!({"messages": image}), 400, "does not support image input"),
        (json!({"messages": long}), 400, "context_length_exceeded"),
        (json!({"response_format": {"type": "json_object"}}), 400, "response_format is not supported"),
        (json!({"model": "sim/none"}), 404, "model_not_found"),
        (json!({"messages": []}), 400, "malformed"),
        (json!({"n": 99}), 400, "malformed"),
    ] {
        let (got, reply) = server.chat(ask(more)).await;
        assert_eq!(got, status);
        assert!(reply.to_string().contains(says), "{reply}");
    }
}

#[tokio::test]
async fn the_rate_limit_of_a_minute_is_kept() {
    let server = Server::start(&format!("{MODEL}requests_per_minute = 2"));
    for expect in [200, 200, 429, 429] {
        assert_eq!(server.chat(ask(json!({}))).await.0, expect);
    }
}

#[tokio::test]
async fn a_fault_strikes_every_nth_request() {
    let server = Server::start(&with_fault("kind = \"status\"\nstatus = 503\nevery = 3"));
    for expect in [200, 200, 503, 200, 200, 503] {
        assert_eq!(server.chat(ask(json!({}))).await.0, expect);
    }
}

#[tokio::test]
async fn faults_look_like_the_real_ones() {
    let stream = || ask(json!({"stream": true, "stream_options": {"include_usage": true}}));
    let fault = |kind: &str| Server::start(&with_fault(&format!("kind = \"{kind}\"\nevery = 1\ntokens = 3")));
    assert!(fault("error_event_first").events(stream()).await[0].starts_with(r#"{"error""#));
    for kind in ["die_before_token", "die_after_tokens"] {
        let (status, body) = fault(kind).post("/v1/chat/completions", &stream()).await;
        assert_eq!((status, body), (200, None), "{kind}");
    }
    assert_eq!(fault("empty").events(stream()).await.len(), 2, "a role and the end");
    let no_usage = fault("no_usage").events(stream()).await;
    assert!(no_usage.len() == 33 && !no_usage.iter().any(|e| e.contains("usage")));
    let json = fault("json_when_stream").chat(stream()).await.1;
    assert_eq!(json["object"], "chat.completion");
    assert!(serde_json::from_str::<Value>(&fault("garbage").events(stream()).await[0]).is_err());
}

#[tokio::test]
async fn a_stalled_stream_stays_open_and_silent() {
    let server = Server::start(&with_fault("kind = \"stall\"\nevery = 1\ntokens = 2"));
    let mut stream = server.send(post("/v1/chat/completions", &ask(json!({"stream": true})))).await;
    let mut got = Vec::new();
    while got.windows(5).filter(|w| w == b"data:").count() < 3 || !got.ends_with(b"\n\n\r\n") {
        assert_ne!(stream.read_buf(&mut got).await.expect("open"), 0);
    }
    let more = tokio::time::timeout(Duration::from_millis(50), stream.read_buf(&mut got)).await;
    assert!(more.is_err(), "neither data nor an end");
}

#[tokio::test]
async fn tokens_come_at_the_models_pace() {
    let server = Server::start(&format!("{MODEL}ttft_ms = 60\ntokens_per_s = 1000.0"));
    let started = Instant::now();
    let mut stream = server.send(post("/v1/chat/completions", &ask(json!({"stream": true})))).await;
    let mut got = Vec::new();
    while !got.windows(5).any(|w| w == b"data:") {
        assert_ne!(stream.read_buf(&mut got).await.expect("open"), 0);
    }
    let first = started.elapsed();
    stream.read_to_end(&mut got).await.expect("whole");
    assert!(first >= Duration::from_millis(60), "{first:?}");
    assert!(started.elapsed() >= Duration::from_millis(60 + 29), "29 more tokens of a millisecond");
}

#[tokio::test]
async fn fixed_replies_do_not_depend_on_the_request() {
    let server = Server::start(MODEL);
    let path = "/fixed/v1/chat/completions";
    let (status, body) = server.post(path, &json!({"model": "anything", "stream": false})).await;
    assert_eq!(status, 200);
    let reply: Value = serde_json::from_str(&body.expect("whole")).expect("JSON");
    assert_eq!(reply["usage"]["completion_tokens"], 64);
    let (_, body) = server.post(path, &json!({"stream": true})).await;
    assert_eq!(body.expect("whole").matches("data: ").count(), 1 + 64 + 1 + 1 + 1);
}

#[tokio::test]
async fn http2_is_spoken_without_tls_on_the_same_port() {
    let server = Server::start(MODEL);
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0";
    let mut stream = server.send(preface.to_owned()).await;
    let mut frame = [0; 9];
    stream.read_exact(&mut frame).await.expect("a frame");
    assert_eq!(frame[3], 4, "the server's SETTINGS");
}

#[tokio::test]
async fn models_are_listed_under_any_prefix_and_other_paths_are_unknown() {
    let server = Server::start(MODEL);
    for (path, expect) in [("/api/v1/models", 200), ("/v1/models", 200), ("/v1/nothing", 404)] {
        let get = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let mut raw = String::new();
        server.send(get).await.read_to_string(&mut raw).await.expect("a reply");
        assert_eq!(parse(&raw).0, expect, "{path}");
    }
}
