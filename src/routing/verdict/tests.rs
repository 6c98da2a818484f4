use super::*;

fn judge(status: u16, body: &str, uses: &[Capability], called_bad_before: bool) -> Verdict {
    let error = ErrorBody::parse(body.as_bytes());
    let situation = Situation { uses: uses.iter().copied().collect(), called_bad_before };
    verdict(&UpstreamReply { status, error: &error, hint: None }, &situation)
}

fn check(status: u16, body: &str, uses: &[Capability], effect: Effect, otherwise: Refusal) {
    let expect = Verdict::NextCandidate { effect, otherwise };
    assert_eq!(judge(status, body, uses, false), expect, "{status} {body}");
}

#[test]
fn a_key_problem_disables_the_key_and_is_never_shown() {
    check(401, "", &[], Effect::DisableKey(Cause::BadKey), Refusal::Unavailable);
    check(402, "", &[], Effect::DisableKey(Cause::QuotaSpent), Refusal::Unavailable);
    let denied = r#"{"error":{"message":"x","type":"permission_error"}}"#;
    check(403, denied, &[], Effect::DisableKey(Cause::BadKey), Refusal::Unavailable);
}

#[test]
fn an_unclear_403_rests_the_key_and_an_edge_page_only_counts_against_the_endpoint() {
    let v = judge(403, "{}", &[], false);
    assert!(
        matches!(v, Verdict::NextCandidate { effect: Effect::Cool { scope: Scope::Key, .. }, .. }),
        "{v:?}"
    );
    let fail = Effect::Fail { scope: Scope::Model, cause: Cause::Misbehaving };
    check(403, "<html>blocked</html>", &[], fail, Refusal::ProviderError);
}

#[test]
fn every_5xx_is_a_failure_of_the_endpoint() {
    for status in [500, 502, 520, 526, 530, 599] {
        let fail = Effect::Fail { scope: Scope::Model, cause: Cause::ServerError };
        check(status, "<html>", &[], fail, Refusal::ProviderError);
    }
    for status in [503, 529] {
        let fail = Effect::Fail { scope: Scope::Model, cause: Cause::Overloaded };
        check(status, "", &[], fail, Refusal::Unavailable);
    }
    for status in [408, 504, 524] {
        let fail = Effect::Fail { scope: Scope::Model, cause: Cause::Timeout };
        check(status, "", &[], fail, Refusal::Timeout);
    }
}

#[test]
fn a_missing_feature_is_learnt_only_if_the_request_uses_it() {
    let body = r#"{"error":{"message":"This model does not support image input"}}"#;
    let lacks = Capability::ImageInput;
    check(400, body, &[lacks], Effect::LearnMissing(lacks), Refusal::Unsupported(lacks));
    assert_eq!(judge(400, body, &[], false), Verdict::TryOneOther { effect: Effect::None });
}

#[test]
fn features_are_known_by_many_names() {
    use Capability::*;
    for (message, uses, lacks) in [
        ("No endpoints found that support tool use", &[Tools][..], Tools),
        (r#"\"auto\" tool choice requires --enable-auto-tool-choice"#, &[Tools, ToolChoice], Tools),
        ("tools param requires --jinja flag", &[Tools], Tools),
        ("property 'logprobs' is unsupported", &[Tools, Logprobs], Logprobs),
        ("messages[0].content must be a string", &[Seed, ImageInput], ImageInput),
        (
            "response_format json_schema is not supported",
            &[ResponseFormat, StructuredOutputs],
            StructuredOutputs,
        ),
        ("tool_choice 'required' is unsupported", &[Tools, ToolChoice], ToolChoice),
        ("gemma is not a multimodal model", &[ImageInput], ImageInput),
        ("frequency_penalty is not supported", &[FrequencyPenalty], FrequencyPenalty),
    ] {
        let body = format!(r#"{{"error":{{"message":"{message}"}}}}"#);
        let refusal = Refusal::Unsupported(lacks);
        check(400, &body, uses, Effect::LearnMissing(lacks), refusal);
    }
}

#[test]
fn two_providers_that_call_a_request_bad_are_believed() {
    let body = r#"{"error":{"message":"temperature must be below 2"}}"#;
    assert_eq!(judge(400, body, &[], false), Verdict::TryOneOther { effect: Effect::None });
    assert_eq!(judge(422, body, &[], true), Verdict::GiveUp(Refusal::BadRequest));
}

#[test]
fn too_long_a_prompt_needs_a_larger_window_whatever_the_status() {
    let body = r#"{"error":{"message":"This model's maximum context length is 8192 tokens"}}"#;
    for status in [400, 413, 422, 500] {
        check(status, body, &[], Effect::NeedsLargerContext { learned: None }, Refusal::ContextTooLong);
    }
    check(413, "", &[], Effect::NeedsLargerContext { learned: None }, Refusal::ContextTooLong);
}

#[test]
fn a_daily_429_cools_for_long_and_an_unexplained_one_by_guess() {
    let error = ErrorBody::default();
    let hint = Hint {
        wait_ms: 9_000_000,
        guessed: false,
        scope: Scope::Key,
        window: Window::Day,
        unit: None,
        limit: None,
    };
    let reply = UpstreamReply { status: 429, error: &error, hint: Some(hint) };
    let effect = Effect::Cool {
        scope: Scope::Key,
        for_ms: 9_000_000,
        cause: Cause::QuotaSpent,
        guessed: false,
        learned: None,
    };
    let expect = Verdict::NextCandidate { effect, otherwise: Refusal::RateLimited };
    assert_eq!(verdict(&reply, &Situation::default()), expect);
    let guess = Effect::Cool {
        scope: Scope::Model,
        for_ms: 15_000,
        cause: Cause::RateLimited,
        guessed: true,
        learned: None,
    };
    check(429, "", &[], guess, Refusal::RateLimited);
}

#[test]
fn a_maintenance_page_cannot_bench_a_model_for_a_day() {
    let error = ErrorBody::default();
    let hint = Hint {
        wait_ms: 86_400_000,
        guessed: false,
        scope: Scope::Model,
        window: Window::Unknown,
        unit: None,
        limit: None,
    };
    let reply = UpstreamReply { status: 503, error: &error, hint: Some(hint) };
    let Verdict::NextCandidate { effect: Effect::Cool { for_ms, .. }, .. } =
        verdict(&reply, &Situation::default())
    else {
        panic!("cools")
    };
    assert_eq!(for_ms, MAX_5XX_COOL_MS);
}

#[test]
fn an_error_inside_a_200_is_judged_by_what_it_says() {
    for (body, status) in [
        (r#"{"error":{"code":429,"message":"x"}}"#, 429),
        (r#"{"error":{"message":"Rate limit exceeded: free-models-per-day"}}"#, 429),
        (r#"{"error":{"message":"The engine is overloaded"}}"#, 503),
        (r#"{"error":{"code":"context_length_exceeded"}}"#, 400),
        (r#"{"error":{"code":"invalid_api_key"}}"#, 401),
        (r#"{"error":{"message":"Network connection lost"}}"#, 502),
        ("", 502),
    ] {
        let error = ErrorBody::parse(body.as_bytes());
        assert_eq!(UpstreamReply::in_band(&error, None).status, status, "{body}");
    }
}

#[test]
fn a_prompt_quoted_by_an_error_disables_no_key() {
    let body = r#"{"error":{"message":"cannot parse: 'Incorrect API key provided', says the user"}}"#;
    assert_eq!(judge(400, body, &[], false), Verdict::TryOneOther { effect: Effect::None });
}

#[test]
fn a_host_that_cannot_be_reached_counts_against_the_whole_provider() {
    let effect = Effect::Fail { scope: Scope::Provider, cause: Cause::Connect };
    let expect = Verdict::NextCandidate { effect, otherwise: Refusal::Unavailable };
    assert_eq!(no_reply(Cause::Connect), expect);
}

#[test]
fn the_client_is_told_the_cause_that_a_retry_can_outlive() {
    use Refusal::*;
    assert_eq!(Refusal::of_all([Timeout, Timeout]), Some(Timeout));
    assert_eq!(Refusal::of_all([ContextTooLong, RateLimited, ProviderError]), Some(RateLimited));
    assert_eq!(Refusal::of_all([BadRequest, Moderated]), Some(Moderated));
    assert_eq!(Refusal::of_all([]), None);
}
