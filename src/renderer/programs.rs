//! The programs that make manifests.

use std::{collections::HashMap, ffi::OsString};

use tokio::sync::Mutex;

use crate::{
    gitops::renderer::Program,
    program::{
        contain::MEMORY_MAX,
        run::{Make, Order, Programs, RunError, Tool},
    },
};

/// The most bytes of manifests that a program may make.
const OUTPUT_MAX: u64 = 32 << 20;

/// The renderers of an operator, or of somebody who calls a command.
#[derive(Debug)]
pub struct Renderers {
    programs: Programs,
    known: Mutex<HashMap<Program, String>>,
}

impl Renderers {
    /// With the programs of an operator, or of somebody who calls a command.
    pub fn new(programs: Programs) -> Self {
        Self { programs, known: Mutex::default() }
    }

    /// The programs that were asked for so far.
    pub async fn used(&self) -> Vec<Program> {
        self.known.lock().await.keys().copied().collect()
    }

    /// What a program says of its version.
    ///
    /// # Errors
    /// See [`RunError`].
    pub async fn version(&self, program: Program) -> Result<String, RunError> {
        let arguments = program.question().iter().map(OsString::from).collect();
        self.run(program, Vec::new(), arguments).await
    }

    /// The digest of a program: another version is another program. It is read once.
    ///
    /// # Errors
    /// It is not there, or cannot be read.
    pub async fn identity(&self, program: Program) -> Result<String, RunError> {
        let mut known = self.known.lock().await;
        if let Some(known) = known.get(&program) {
            return Ok(known.clone());
        }
        let identity = self.programs.identity(tool(program)).await?;
        known.insert(program, identity.clone());
        Ok(identity)
    }

    /// Runs a program, when it is its turn, with files by their paths in the scratch directory.
    ///
    /// # Errors
    /// See [`RunError`].
    pub async fn run(
        &self,
        program: Program,
        files: Vec<(String, Vec<u8>)>,
        arguments: Vec<OsString>,
    ) -> Result<String, RunError> {
        self.programs.run(Order { tool: tool(program), files, arguments }).await
    }
}

fn tool(program: Program) -> Tool {
    let package = match program {
        Program::Kustomize => "kustomize 5",
        Program::Helm => "helm 4",
    };
    Tool { file: program.file(), package, make: Make::Go, memory: MEMORY_MAX, output: OUTPUT_MAX }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_to_be_installed_is_named_with_the_version_that_manifests_are_made_with() {
        for program in [Program::Kustomize, Program::Helm] {
            assert_eq!(tool(program).package, format!("{} {}", program.file(), program.major()));
        }
    }
}
