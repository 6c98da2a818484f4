use super::*;
use Capability::*;

const F: &str = r#"{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}"#;

#[test]
fn offered_tools_are_a_hard_need_and_empty_lists_none() {
    let facts = with(&format!(r#""tools":[{F},{}]"#, F.replace("\"f\"", "\"g\"")));
    check(&facts, &[Tools], &[]);
    assert_eq!(facts.features.tools, 2);
    assert!(facts.features.tool_bytes as usize > 2 * F.len());
    check(&with(r#""functions":[{"name":"f"}]"#), &[Tools], &[]);
    for none in [r#""tools":[]"#, r#""tools":null"#, r#""functions":[]"#, r#""functions":null"#] {
        check(&with(none), &[], &[]);
    }
}

#[test]
fn a_choice_that_forces_tools_needs_support_for_it() {
    check(&with(&format!(r#""tools":[{F}],"tool_choice":"auto""#)), &[Tools], &[]);
    check(&with(&format!(r#""tools":[{F}],"tool_choice":null"#)), &[Tools], &[]);
    check(&with(&format!(r#""tool_choice":"required","tools":[{F}]"#)), &[Tools, ToolChoice], &[]);
    let forced = r#""tool_choice":{"type":"function","function":{"name":"f"}}"#;
    check(&with(&format!(r#"{forced},"tools":[{F}]"#)), &[Tools, ToolChoice], &[]);
    check(&with(r#""functions":[{"name":"f"}],"function_call":{"name":"f"}"#), &[Tools, ToolChoice], &[]);
    check(
        &with(&format!(r#""tools":[{F}],"tool_choice":{{"type":"allowed_tools","allowed_tools":{{}}}}"#)),
        &[Tools, ToolChoice],
        &[],
    );
}

#[test]
fn forbidden_tools_are_only_a_wish_unless_the_history_has_some() {
    let none = with(&format!(r#""tools":[{F}],"tool_choice":"none""#));
    check(&none, &[], &[Tools, ToolChoice]);
    assert!(none.edits.tools_forbidden);
    check(&with(r#""functions":[{"name":"f"}],"function_call":"none""#), &[], &[Tools, ToolChoice]);
    let history =
        format!(r#"{{"messages":[{{"role":"tool","content":"x"}}],"tools":[{F}],"tool_choice":"none"}}"#);
    check(&facts(&history), &[Tools], &[Tools, ToolChoice]);
}

#[test]
fn a_choice_of_what_is_not_offered_is_refused() {
    let forced = r#""tool_choice":{"type":"function","function":{"name":"g"}}"#;
    refuse_field(forced, "tool_choice");
    refuse_field(&format!(r#""tools":[{F}],{forced}"#), "tool_choice");
    refuse_field(r#""tool_choice":"required""#, "tool_choice");
    refuse_field(r#""tools":[],"tool_choice":"required""#, "tool_choice");
    refuse_field(r#""functions":[{"name":"f"}],"function_call":{"name":"g"}"#, "function_call");
    refuse_field(&format!(r#""tools":[{F}],"tool_choice":"sometimes""#), "tool_choice");
    refuse_field(&format!(r#""tools":[{F}],"tool_choice":1"#), "tool_choice");
    refuse_field(
        &format!(r#""tools":[{F}],"tool_choice":{{"type":"function"}}"#),
        "tool_choice.function.name",
    );
}

#[test]
fn tools_of_the_server_are_told_from_the_clients() {
    for kind in ["openrouter:web_search", "web_search_preview", "bash", "mcp"] {
        check(&with(&format!(r#""tools":[{{"type":"{kind}"}}]"#)), &[Tools, ServerTools], &[]);
    }
    check(&with(r#""tools":[{"type":"custom","custom":{"name":"f"}}]"#), &[Tools], &[]);
    check(&with(r#""tools":[{"type":"bash"}],"tool_choice":"none""#), &[], &[Tools, ToolChoice, ServerTools]);
}

#[test]
fn functions_need_a_plain_name() {
    let tool = |function: &str| format!(r#""tools":[{F},{{"type":"function","function":{function}}}]"#);
    let long = "n".repeat(64);
    with(&tool(&format!(r#"{{"name":"{long}"}}"#)));
    refuse_field(&tool(&format!(r#"{{"name":"{long}n"}}"#)), "tools.[1].function.name");
    for bad in [r#"{"name":""}"#, r#"{"name":"a b"}"#, r#"{"name":"é"}"#, r#"{"name":1}"#, "{}"] {
        refuse_field(&tool(bad), "tools.[1].function.name");
    }
    refuse_field(r#""functions":[{"name":"a.b"}]"#, "functions.[0].name");
    refuse_field(r#""tools":[{"type":"function"}]"#, "tools.[0].function");
    refuse_field(r#""tools":[{"function":{"name":"f"}}]"#, "tools.[0].type");
    refuse_field(r#""tools":["f"]"#, "tools.[0]");
    refuse_field(r#""tools":{}"#, "tools");
}

#[test]
fn strict_functions_and_parallel_calls_are_wishes() {
    check(
        &with(r#""tools":[{"type":"function","function":{"name":"f","strict":true}}]"#),
        &[Tools],
        &[StructuredOutputs],
    );
    let parallel = with(&format!(r#""tools":[{F}],"parallel_tool_calls":false"#));
    check(&parallel, &[Tools], &[ParallelToolCalls]);
    refuse_field(r#""parallel_tool_calls":"yes""#, "parallel_tool_calls");
}
