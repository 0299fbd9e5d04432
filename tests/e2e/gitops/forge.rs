//! A Profile that follows a repository on a real Git server, with an operator of its own.

use std::fmt::Write;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{
    Api, ResourceExt,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use landfall::api::{
    condition::{ConditionStatus, ConditionType},
    profile::Profile,
    source::{SourcePhase, SourceStatus, SyncResult},
};
use serde_json::{Value, json};

use crate::{git::server::Server, stage::Stage};

/// The Profile of these tests.
pub const PROFILE: &str = "production";

/// A stage with a repository.
pub struct Forge {
    pub stage: Stage,
    pub server: Server,
}

impl Forge {
    /// A stage whose operator runs, and a repository that is empty.
    pub async fn new(test: &str) -> Self {
        let server = Server::start(test);
        let forge = Self { stage: Stage::new(test).await, server };
        forge.secret().await;
        forge
    }

    /// Makes the Secret with the credentials of the repository.
    pub async fn secret(&self) {
        let secret: Secret = serde_json::from_value(json!({
            "metadata": {"name": "git"},
            "stringData": {"ca.crt": self.server.identity.authority, "username": "ann", "password": "right"},
        }))
        .unwrap();
        self.stage.world.api::<Secret>().create(&PostParams::default(), &secret).await.unwrap();
    }

    /// As [`Forge::new`], with these files in the repository, and a Profile that follows it with these settings beside `git`.
    pub async fn with(test: &str, settings: &str, files: &[(&str, &str)]) -> Self {
        let forge = Self::new(test).await;
        forge.commit("first", files);
        forge.follow(settings).await;
        forge
    }

    /// Lets the Profile follow the repository. It is looked at every second.
    pub async fn follow(&self, settings: &str) {
        self.follow_every("1s", settings).await;
    }

    pub async fn follow_every(&self, interval: &str, settings: &str) {
        self.follow_with(&format!("interval: {interval}"), settings).await;
    }

    /// Lets the Profile follow a directory of the repository. It is looked at every second.
    pub async fn follow_at(&self, path: &str, settings: &str) {
        self.follow_with(&format!("interval: 1s, path: '{path}'"), settings).await;
    }

    async fn follow_with(&self, git: &str, settings: &str) {
        let url = self.server.url("basic");
        let source = format!("{{git: {{url: '{url}', {git}, secretRef: {{name: git}}}}, {settings}}}");
        self.stage
            .apply(&format!(
                "{{apiVersion: landfall.dev/v1alpha1, kind: Profile, metadata: {{name: {PROFILE}}}, \
                 spec: {{environment: production, source: {source}}}}}"
            ))
            .await;
    }

    /// Makes a Secret.
    pub async fn give(&self, name: &str, data: Value) {
        let secret = json!({"metadata": {"name": name}, "stringData": data});
        let secrets = self.stage.world.api::<Secret>();
        secrets.create(&PostParams::default(), &serde_json::from_value(secret).unwrap()).await.unwrap();
    }

    /// None of these is in the Profile's status or in the operator's log.
    pub async fn tells_nothing_of(&self, hidden: &[&str]) {
        let profile = self.profiles().get(PROFILE).await.unwrap();
        let status = serde_json::to_string(&profile.status).unwrap();
        let log = std::fs::read_to_string(&self.stage.log).unwrap();
        for word in hidden {
            assert!(!status.contains(word), "the status has {word}: {status}");
            assert!(!log.contains(word), "the log has {word}");
        }
    }

    /// Commits these files, and nothing else, to main. Returns the commit.
    pub fn commit(&self, message: &str, files: &[(&str, &str)]) -> String {
        let mut stream = format!(
            "commit refs/heads/main\ncommitter Bob <bob@shop.test> 1700000000 +0000\ndata {}\n{message}\n",
            message.len()
        );
        let parent = self.server.repository.git(&["for-each-ref", "--format=%(objectname)", "refs/heads/main"], b"");
        if !parent.is_empty() {
            writeln!(stream, "from {parent}").unwrap();
        }
        stream.push_str("deleteall\n");
        for (path, content) in files {
            writeln!(stream, "M 100644 inline {path}\ndata {}\n{content}", content.len()).unwrap();
        }
        self.server.repository.git(&["fast-import", "--quiet", "--force"], stream.as_bytes());
        self.server.repository.git(&["rev-parse", "main"], b"")
    }

    /// The commit that main is at.
    pub fn head(&self) -> String {
        self.server.repository.git(&["rev-parse", "main"], b"")
    }

    pub fn profiles(&self) -> Api<Profile> {
        self.stage.world.api()
    }

    pub async fn patch(&self, patch: Value) {
        self.profiles().patch(PROFILE, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }

    /// Waits until the status of the source is as it is meant.
    pub async fn until(&self, what: &str, is: impl Fn(&Profile, &SourceStatus) -> bool) -> SourceStatus {
        let status =
            |profile: &Profile| profile.status.as_ref().and_then(|status| status.source.clone()).unwrap_or_default();
        let found = self.stage.until_one(self.profiles(), (PROFILE, what), |one| is(one, &status(one))).await;
        status(&found)
    }

    /// Waits until this commit is in force.
    pub async fn in_force(&self, commit: &str) -> SourceStatus {
        self.until(&format!("commit {commit} in force"), |profile, status| {
            let applied = status.applied.as_ref().is_some_and(|applied| applied.id == commit);
            applied && status.phase == Some(SourcePhase::Synced) && holds(profile, ConditionType::Synced)
        })
        .await
    }

    /// Waits until this commit has failed.
    pub async fn failed(&self, commit: &str) -> SourceStatus {
        self.until(&format!("commit {commit} failed"), |_, status| {
            let last = status.last_sync.as_ref();
            let of_commit = last.is_some_and(|sync| sync.commit == commit);
            let failed = [Some(SyncResult::Failed), Some(SyncResult::Partial)];
            of_commit && failed.contains(&last.and_then(|sync| sync.result))
        })
        .await
    }

    /// The value of the key `a` of a `ConfigMap`; none where there is none.
    pub async fn value(&self, name: &str) -> Option<String> {
        let map = self.maps().get_opt(name).await.unwrap()?;
        map.data.and_then(|data| data.get("a").cloned())
    }

    pub fn maps(&self) -> Api<ConfigMap> {
        self.stage.world.api()
    }

    /// The `ConfigMap`s that the source looks after.
    pub async fn names(&self) -> Vec<String> {
        let all = self.maps().list(&ListParams::default()).await.unwrap();
        let own = all.iter().filter(|map| map.labels().contains_key("landfall.dev/profile"));
        own.map(ResourceExt::name_any).collect()
    }

    /// Waits until a `ConfigMap` is as it is meant; none where there is none.
    pub async fn until_map(&self, name: &str, is: impl Fn(Option<&ConfigMap>) -> bool) {
        let condition = kube::runtime::wait::await_condition(self.maps(), name, |map: Option<&ConfigMap>| is(map));
        self.stage.world.patiently(&format!("the ConfigMap {name}"), condition).await.unwrap();
    }

    pub async fn end(self) {
        self.stage.end().await;
    }
}

/// Whether a condition of the Profile as it is now is true.
pub fn holds(profile: &Profile, type_: ConditionType) -> bool {
    condition(profile, type_) == Some(ConditionStatus::True)
}

pub fn condition(profile: &Profile, type_: ConditionType) -> Option<ConditionStatus> {
    let generation = profile.metadata.generation.unwrap_or(0);
    let conditions = profile.status.iter().flat_map(|status| &status.conditions);
    let mut of = conditions.into_iter().filter(|one| one.type_ == type_ && one.observed_generation == generation);
    of.next().map(|one| one.status)
}

/// A `ConfigMap` with one value.
pub fn map(name: &str, value: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\ndata:\n  a: \"{value}\"\n")
}
