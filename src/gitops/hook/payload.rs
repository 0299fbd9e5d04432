//! What the body of a webhook says. Every provider has a form of its own; what is not where it should be is as if it was not
//! said, since a webhook is only a hint to look.

use std::borrow::Cow;

use serde_json::Value;
use url::form_urlencoded;

use super::{Change, Provider, Push, Refusal, Request, Said};

/// As many addresses and changes of one webhook are kept.
const LIST_MAX: usize = 32;

/// The longest text of a webhook that is kept.
const TEXT_MAX: usize = 1024;

/// What a body says that is signed.
pub(super) fn read(request: Request<'_>, provider: Provider) -> Result<Said, Refusal> {
    let event = |name| request.header(name).unwrap_or_default();
    let told = match provider {
        Provider::GitHub => event("x-github-event"),
        Provider::GitLab => event("x-gitlab-event"),
        Provider::Gitea => event("x-gitea-event"),
        Provider::Bitbucket => event("x-event-key"),
        Provider::Generic => "push",
    };
    if matches!(told, "ping" | "diagnostics:ping") {
        return Ok(Said::Ping);
    }
    let body = parse(request)?;
    if body["ping"] == true && provider == Provider::Generic {
        return Ok(Said::Ping);
    }
    let (urls, changes) = match (provider, told) {
        (Provider::GitHub | Provider::Gitea, "push") => (of_repository(&body), one(&body)),
        (Provider::GitLab, "Push Hook" | "Tag Push Hook") => (of_project(&body), one(&body)),
        (Provider::GitLab, "System Hook") if is_push(&body) => (of_project(&body), one(&body)),
        (Provider::Bitbucket, "repo:push") => (of_links(&body), many(&body, "/push/changes", cloud_change)),
        (Provider::Bitbucket, "repo:refs_changed") => (of_links(&body), many(&body, "/changes", server_change)),
        (Provider::Generic, _) => (texts(&body, &["/url"]), generic(&body)),
        _ => return Ok(Said::Other),
    };
    let delivery = request.delivery(provider).map(ToOwned::to_owned);
    Ok(Said::Push(Push { provider, delivery, urls, changes }))
}

/// The body as JSON, of a depth that serde limits; also where GitHub was told to send it as a form.
fn parse(request: Request<'_>) -> Result<Value, Refusal> {
    let form = request.header("content-type").is_some_and(|text| text.starts_with("application/x-www-form-urlencoded"));
    let json = if form {
        let mut fields = form_urlencoded::parse(request.body);
        let payload = fields.find(|(name, _)| name == "payload").map(|(_, value)| value);
        Cow::Owned(payload.ok_or(Refusal::Unreadable("the form has no field payload"))?.into_owned().into_bytes())
    } else {
        Cow::Borrowed(request.body)
    };
    if json.trim_ascii().is_empty() {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    match serde_json::from_slice(&json) {
        Ok(body @ Value::Object(_)) => Ok(body),
        Ok(_) => Err(Refusal::Unreadable("it is JSON, but no object")),
        Err(_) => Err(Refusal::Unreadable("it is no JSON, or too deep")),
    }
}

fn is_push(body: &Value) -> bool {
    matches!(body["event_name"].as_str(), Some("push" | "tag_push"))
}

fn of_repository(body: &Value) -> Vec<String> {
    texts(body, &["/repository/clone_url", "/repository/ssh_url", "/repository/html_url"])
}

fn of_project(body: &Value) -> Vec<String> {
    let project = ["/project/git_http_url", "/project/git_ssh_url", "/project/web_url"];
    let before = ["/repository/git_http_url", "/repository/git_ssh_url"];
    texts(body, &[project.as_slice(), &before].concat())
}

/// The cloud names the page of the repository, whose address is that of a clone too; a server lists addresses.
fn of_links(body: &Value) -> Vec<String> {
    let clones = body.pointer("/repository/links/clone").and_then(Value::as_array).into_iter().flatten();
    let clones = clones.filter_map(|link| text(&link["href"]));
    let page = body.pointer("/repository/links/html/href").and_then(text);
    clones.chain(page).take(LIST_MAX).collect()
}

fn texts(body: &Value, pointers: &[&str]) -> Vec<String> {
    let mut found: Vec<String> = pointers.iter().filter_map(|at| body.pointer(at).and_then(text)).collect();
    found.dedup();
    found
}

fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty() && text.len() <= TEXT_MAX).map(ToOwned::to_owned)
}

fn one(body: &Value) -> Vec<Change> {
    let change = text(&body["ref"]).map(|reference| Change { reference, commit: commit(&body["after"]) });
    change.into_iter().collect()
}

fn generic(body: &Value) -> Vec<Change> {
    let change = text(&body["ref"]).map(|reference| Change { reference, commit: commit(&body["commit"]) });
    change.into_iter().collect()
}

fn many(body: &Value, at: &str, change: impl Fn(&Value) -> Option<Change>) -> Vec<Change> {
    let changes = body.pointer(at).and_then(Value::as_array).into_iter().flatten();
    changes.filter_map(change).take(LIST_MAX).collect()
}

fn cloud_change(change: &Value) -> Option<Change> {
    let side = if change["new"].is_object() { &change["new"] } else { &change["old"] };
    let directory = if side["type"] == "tag" { "tags" } else { "heads" };
    let reference = text(&side["name"]).map(|name| format!("refs/{directory}/{name}"))?;
    Some(Change { reference, commit: change.pointer("/new/target/hash").and_then(commit) })
}

fn server_change(change: &Value) -> Option<Change> {
    let reference = change.pointer("/ref/id").and_then(text).or_else(|| text(&change["refId"]))?;
    Some(Change { reference, commit: commit(&change["toHash"]) })
}

/// A whole hash; one of zeros stands for a branch that was deleted.
fn commit(value: &Value) -> Option<String> {
    let hash = value.as_str()?;
    let is_whole = matches!(hash.len(), 40 | 64) && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_whole && hash.bytes().any(|byte| byte != b'0')).then(|| hash.to_ascii_lowercase())
}
