//! How an answer ends for the client: the last chunk, the error chunk, or the whole body.

use super::{Answer, Bill, write};
use crate::protocol::Dialect;
use crate::protocol::errors::ApiError;
use serde_json::value::RawValue;

impl Answer {
    /// The chunk before `[DONE]`, where the dialect or the metadata asks for one.
    pub(super) fn last_chunk(&self, bill: &Bill, metadata: Option<&RawValue>, out: &mut Vec<u8>) {
        let openrouter = self.shape.dialect == Dialect::OpenRouter;
        let usage = openrouter || self.shape.include_usage;
        if !usage && metadata.is_none() {
            return;
        }
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(&self.head);
        write::key(out, "choices");
        out.push(b'[');
        // OpenAI's usage chunk has no choices; OpenRouter's repeats the finished one.
        if let Some(choice) = self.choices.first()
            && (openrouter || !usage)
        {
            write::index(out, choice.index);
            write::member(out, "delta", r#"{"content":""}"#);
            write::finish(out, choice, true);
        }
        out.push(b']');
        if usage {
            write::key(out, "usage");
            bill.write(out);
        }
        if let Some(metadata) = metadata {
            write::member(out, "openrouter_metadata", metadata.get());
        }
        out.extend_from_slice(b"}\n\n");
    }

    /// The whole body.
    pub(super) fn body(&self, bill: &Bill, metadata: Option<&RawValue>, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.head);
        if let Some(gathered) = &self.gathered {
            gathered.write(out, &self.choices);
        }
        write::key(out, "usage");
        bill.write(out);
        if let Some(metadata) = metadata {
            write::member(out, "openrouter_metadata", metadata.get());
        }
        out.push(b'}');
    }

    /// The chunk that says the answer broke off.
    pub(super) fn error_chunk(&self, error: &ApiError, out: &mut Vec<u8>) {
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(&self.head);
        write::member(out, "error", &error.in_band());
        let begun = self.choices.iter().any(|choice| choice.index == 0 && choice.begun);
        let role = if begun { "" } else { r#""role":"assistant","# };
        let choice = format!(r#"[{{"index":0,"delta":{{{role}"content":""}},"finish_reason":"error"}}]"#);
        write::member(out, "choices", &choice);
        out.extend_from_slice(b"}\n\n");
    }
}
