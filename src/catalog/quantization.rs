//! In how many bits a model's weights are served, as far as its name at the provider says so.

/// The words of names and what they mean, in OpenRouter's terms.
const WORDS: [(&str, &str); 17] = [
    ("int4", "int4"),
    ("awq", "int4"),
    ("gptq", "int4"),
    ("q4", "int4"),
    ("w4a16", "int4"),
    ("int8", "int8"),
    ("q8", "int8"),
    ("w8a8", "int8"),
    ("fp4", "fp4"),
    ("mxfp4", "fp4"),
    ("nvfp4", "fp4"),
    ("fp6", "fp6"),
    ("fp8", "fp8"),
    ("fp16", "fp16"),
    ("f16", "fp16"),
    ("bf16", "bf16"),
    ("fp32", "fp32"),
];

/// The quantization that a name gives away, as in `llama-3.3-70b-instruct-fp8-fast`; `None` when it says none.
pub(super) fn quantization(name: &str) -> Option<&'static str> {
    let meaning = |part: &str| {
        WORDS.iter().find(|(word, _)| part.eq_ignore_ascii_case(word)).map(|(_, meaning)| *meaning)
    };
    name.split(|c: char| !c.is_ascii_alphanumeric()).find_map(meaning)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_say_it_are_believed() {
        let check = |name, expect: Option<&str>| assert_eq!(quantization(name), expect, "{name}");
        check("@cf/meta/llama-3.3-70b-instruct-fp8-fast", Some("fp8"));
        check("@hf/thebloke/neural-chat-7b-v3-1-awq", Some("int4"));
        check("meta-llama/Llama-4-Maverick-17B-128E-Instruct-FP8", Some("fp8"));
        check("gemma3:27b-it-q4_K_M", Some("int4"));
        check("llama-3.3-70b-versatile", None);
        check("fp8er/model", None);
    }
}
