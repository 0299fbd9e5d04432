//! kustomize and Helm as they are on the machine of whoever calls.

use std::{env, path::PathBuf};

use anyhow::Context;
use kube::Client;
use tempfile::TempDir;

use crate::{
    cli::terminal::note,
    cluster::capabilities::Asked,
    gitops::renderer::version,
    program::run,
    renderer::{manifests::Tools, programs::Renderers},
};

/// The programs, and what they need to run.
pub struct Programs {
    renderers: Renderers,
    capabilities: Asked,
    /// Where they run. It goes with this.
    _scratch: TempDir,
}

impl Programs {
    /// Those in a directory, or else in the PATH.
    ///
    /// # Errors
    /// There is no place for them to run in.
    pub fn find(directory: Option<PathBuf>) -> anyhow::Result<Self> {
        let own = env::current_exe().context("this program does not find itself")?;
        let scratch = tempfile::tempdir().context("there is no place for renderers")?;
        let place = scratch.path().join("renderers");
        let programs = match directory {
            Some(directory) => run::Programs::named(own, directory, place),
            None => run::Programs::in_path(own, &env::var_os("PATH").unwrap_or_default(), place),
        };
        Ok(Self { renderers: Renderers::new(programs), capabilities: Asked::default(), _scratch: scratch })
    }

    /// What manifests are made with. Charts are told of the cluster what the caller sees of it.
    pub fn tools<'a>(&'a self, client: &'a Client) -> Tools<'a> {
        Tools { renderers: &self.renderers, capabilities: &self.capabilities, client }
    }

    /// Says which of the programs that ran is another one than the operator has.
    pub async fn say_versions(&self) {
        for program in self.renderers.used().await {
            let (name, major) = (program.file(), program.major());
            let said = self.renderers.version(program).await;
            match said.as_deref().map(version) {
                Ok(Some((own, _))) if own == major => {}
                Ok(Some((_, own))) => note(&format!(
                    "note: this is {name} {own}, and the operator has version {major}: it may make something else of these files"
                )),
                _ => note(&format!("note: the version of {name} cannot be told; the operator has version {major}")),
            }
        }
    }
}
