//! What a kustomization needs: a walk over its bases, components, patches and generators.
//!
//! It asks for the files that it has to read, and knows in the end every file that kustomize can open. What leads elsewhere or
//! starts programs is refused here, with its line. kustomize is started without the options that would allow it, too.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    super::{
        document::{self, Document},
        problem::Problem,
        render::NOT_YAML,
        select::{NOT_A_FILE, TOO_LARGE},
        tree::{Entry, Kind},
    },
    MISSING, PLUGIN, Program, ROOTS,
    files::{Closure, Found, Place, Tree},
};

/// The most directories that one kustomization may consist of.
const DIRECTORIES_MAX: usize = 1000;

/// What a file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    /// It is a kustomization.
    Kustomization,
    /// It configures generators, transformers or validators of kustomize.
    Plugin,
}

/// A file that has to be read: its path, what it says, and the directory that paths in it start from.
type Wish = (String, Role, String);

/// A walk that is under way.
#[derive(Debug)]
pub struct Walk<'l> {
    tree: Tree<'l>,
    closure: Closure,
    seen: BTreeSet<Wish>,
    open: Vec<Wish>,
    problems: Vec<Problem>,
}

impl<'l> Walk<'l> {
    /// Begins at a directory.
    pub fn new(tree: Tree<'l>, directory: &str) -> Self {
        let mut walk =
            Self { tree, closure: Closure::default(), seen: BTreeSet::new(), open: Vec::new(), problems: Vec::new() };
        walk.directory(directory, Place { file: directory, line: 1 });
        walk
    }

    /// The files that have to be read next, each once; none when the walk is over.
    pub fn wants(&mut self) -> Vec<(Entry, Reading)> {
        let open = std::mem::take(&mut self.open);
        open.into_iter().filter_map(|wish| Some((self.tree.get(&wish.0)?.clone(), Reading(wish)))).collect()
    }

    /// Reads one of them.
    pub fn read(&mut self, Reading((path, role, directory)): &Reading, content: &[u8]) {
        let problem = |error: document::Unreadable| Problem::new(path, error.line, NOT_YAML, error.message);
        match document::text(content).and_then(document::read).map_err(problem) {
            Ok(documents) => {
                for document in documents.into_iter().flat_map(Document::parts) {
                    self.document(&At { path, directory, document: &document }, *role);
                }
            }
            Err(problem) => self.problems.push(problem),
        }
    }

    /// All files that are needed.
    ///
    /// # Errors
    /// Everything that is refused.
    pub fn end(mut self, directory: &str) -> Result<Closure, Vec<Problem>> {
        self.problems.extend(self.closure.excess(Place { file: directory, line: 1 }));
        if self.problems.is_empty() { Ok(self.closure) } else { Err(self.problems) }
    }

    fn document(&mut self, at: &At<'_>, role: Role) {
        match role {
            Role::Kustomization => self.kustomization(at),
            Role::Plugin => self.plugin(at),
        }
    }

    fn kustomization(&mut self, at: &At<'_>) {
        for field in ["helmCharts", "helmChartInflationGenerator"] {
            if at.document.value.get(field).is_some() {
                let message = "kustomize would start Helm and fetch charts: commit the chart, and let a Profile of its own name its directory";
                self.problems.push(at.place(&format!("/{field}")).problem(PLUGIN, message));
            }
        }
        for field in ["resources", "bases", "components"] {
            at.texts(&format!("/{field}"), |text, place| self.path(at.directory, text, place));
        }
        for field in ["crds", "configurations", "patchesStrategicMerge"] {
            at.texts(&format!("/{field}"), |text, place| self.file(at.directory, text, place));
        }
        for field in ["generators", "transformers", "validators"] {
            at.texts(&format!("/{field}"), |text, place| self.configuration(at, text, place));
        }
        for field in ["patches", "patchesJson6902", "replacements"] {
            at.each(&format!("/{field}"), |pointer| {
                at.text(&format!("{pointer}/path"), |text, place| self.file(at.directory, text, place));
            });
        }
        at.text("/openapi/path", |text, place| self.file(at.directory, text, place));
        for field in ["configMapGenerator", "secretGenerator"] {
            at.each(&format!("/{field}"), |pointer| self.sources(at, pointer));
        }
    }

    /// The files of a generator.
    fn sources(&mut self, at: &At<'_>, pointer: &str) {
        for field in ["files", "envs"] {
            at.texts(&format!("{pointer}/{field}"), |text, place| self.file(at.directory, source(field, text), place));
        }
        at.text(&format!("{pointer}/env"), |text, place| self.file(at.directory, text, place));
    }

    /// A file or a directory with a kustomization.
    fn path(&mut self, directory: &str, text: &str, place: Place<'_>) {
        match self.tree.find(directory, text, place) {
            Ok(Found::File(entry)) => self.closure.add(entry),
            Ok(Found::Directory(path)) => self.directory(&path, place),
            Err(problem) => self.problems.push(problem),
        }
    }

    /// A file, or what stands in its place.
    fn file(&mut self, directory: &str, text: &str, place: Place<'_>) {
        if text.contains('\n') || text.trim_start().starts_with(['{', '[']) {
            return;
        }
        match self.tree.find(directory, text, place) {
            Ok(Found::File(entry)) => self.closure.add(entry),
            Ok(Found::Directory(_)) => self.problems.push(place.problem(MISSING, "this is a directory: name a file")),
            Err(problem) => self.problems.push(problem),
        }
    }

    fn directory(&mut self, path: &str, place: Place<'_>) {
        let inside = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
        let roots = ROOTS.iter().filter(|(_, program)| *program == Program::Kustomize);
        let found: Vec<&Entry> = roots.filter_map(|(name, _)| self.tree.get(&inside(name))).collect();
        let [entry] = found.as_slice() else {
            let message = if found.is_empty() {
                "this directory has no kustomization.yaml: write one, or name the files"
            } else {
                "this directory has more than one kustomization: remove all but one"
            };
            return self.problems.push(place.problem(MISSING, message));
        };
        if entry.kind != Kind::File {
            let message = "the kustomization of this directory is a link: commit the file itself";
            return self.problems.push(place.problem(NOT_A_FILE, message));
        }
        self.closure.add(entry);
        self.ask((entry.path.clone(), Role::Kustomization, path.to_owned()), place);
    }

    fn ask(&mut self, wish: Wish, place: Place<'_>) {
        if self.seen.len() >= DIRECTORIES_MAX {
            let message =
                format!("there are more than {DIRECTORIES_MAX} directories: divide them among several Profiles");
            return self.problems.push(place.problem(TOO_LARGE, message));
        }
        if self.seen.insert(wish.clone()) {
            self.open.push(wish);
        }
    }

    /// What configures generators and their like: a text in place, a file, or a directory.
    fn configuration(&mut self, at: &At<'_>, text: &str, place: Place<'_>) {
        if text.contains('\n') {
            let Ok(documents) = document::read(text) else {
                return self.problems.push(place.problem(NOT_YAML, "this text is no YAML"));
            };
            for document in documents {
                self.plugin(&At { path: at.path, directory: at.directory, document: &document }.pinned(place.line));
            }
            return;
        }
        match self.tree.find(at.directory, text, place) {
            Ok(Found::File(entry)) => {
                self.closure.add(entry);
                self.ask((entry.path.clone(), Role::Plugin, at.directory.to_owned()), place);
            }
            Ok(Found::Directory(path)) => self.directory(&path, place),
            Err(problem) => self.problems.push(problem),
        }
    }

    /// A generator, transformer or validator: only those that are part of kustomize.
    fn plugin(&mut self, at: &impl Located) {
        let value = at.value();
        let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let annotations = value.pointer("/metadata/annotations").and_then(Value::as_object);
        let is_function = annotations.is_some_and(|all| all.keys().any(|key| FUNCTIONS.contains(&key.as_str())));
        if is_function || text("/apiVersion") != "builtin" || text("/kind") == "HelmChartInflationGenerator" {
            let message = "this would start another program: only generators, transformers and validators that are part of \
                           kustomize (apiVersion: builtin) are possible";
            self.problems.push(at.place("/kind").problem(PLUGIN, message));
            return;
        }
        let mut files = Vec::new();
        named_files(value, &mut files);
        for text in files {
            self.file(at.directory(), text, at.place(""));
        }
    }
}

/// A file that has to be read.
#[derive(Debug)]
pub struct Reading(Wish);

/// The annotations of programs that are started.
const FUNCTIONS: [&str; 2] = ["config.kubernetes.io/function", "config.k8s.io/function"];

/// The path of a source: `files` may have a key before it.
fn source<'t>(field: &str, text: &'t str) -> &'t str {
    match text.split_once('=') {
        Some((_, path)) if field == "files" => path,
        _ => text,
    }
}

/// The files that the configuration of a plugin names.
fn named_files<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
    let Value::Object(fields) = value else {
        if let Value::Array(items) = value {
            for item in items {
                named_files(item, found);
            }
        }
        return;
    };
    for (key, value) in fields {
        match (key.as_str(), value) {
            // Of patches and replacements it is a file; of fields, such as `fieldSpecs`, a path in an object.
            ("path", Value::String(_)) if fields.contains_key("kind") && !fields.contains_key("apiVersion") => {}
            ("fieldSpecs" | "fieldPaths" | "options" | "target" | "source", _) => {}
            ("path" | "env", Value::String(text)) => found.push(text),
            ("paths" | "files" | "envs", Value::Array(items)) => {
                found.extend(items.iter().filter_map(Value::as_str).map(|text| source(key, text)));
            }
            (_, value) => named_files(value, found),
        }
    }
}

/// A document, and where places of it are.
trait Located {
    fn value(&self) -> &Value;
    fn directory(&self) -> &str;
    fn place(&self, pointer: &str) -> Place<'_>;
}

/// A document of a file.
struct At<'a> {
    path: &'a str,
    directory: &'a str,
    document: &'a Document,
}

/// A document that is a text in a file.
struct Pinned<'a> {
    at: At<'a>,
    line: u64,
}

impl<'a> At<'a> {
    fn pinned(self, line: u64) -> Pinned<'a> {
        Pinned { at: self, line }
    }

    fn place(&self, pointer: &str) -> Place<'a> {
        Place { file: self.path, line: self.document.line(pointer) }
    }

    /// Does something with each item of a list, by its pointer.
    fn each(&self, pointer: &str, mut work: impl FnMut(&str)) {
        let count = self.document.value.pointer(pointer).and_then(Value::as_array).map_or(0, Vec::len);
        (0..count).for_each(|index| work(&format!("{pointer}/{index}")));
    }

    /// Does something with each text of a list.
    fn texts(&self, pointer: &str, mut work: impl FnMut(&str, Place<'a>)) {
        self.each(pointer, |item| self.text(item, &mut work));
    }

    /// Does something with a text, if there is one.
    fn text(&self, pointer: &str, mut work: impl FnMut(&str, Place<'a>)) {
        if let Some(text) = self.document.value.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty())
        {
            work(text, self.place(pointer));
        }
    }
}

impl Located for At<'_> {
    fn value(&self) -> &Value {
        &self.document.value
    }

    fn directory(&self) -> &str {
        self.directory
    }

    fn place(&self, pointer: &str) -> Place<'_> {
        At::place(self, pointer)
    }
}

impl Located for Pinned<'_> {
    fn value(&self) -> &Value {
        &self.at.document.value
    }

    fn directory(&self) -> &str {
        self.at.directory
    }

    fn place(&self, _: &str) -> Place<'_> {
        Place { file: self.at.path, line: self.line }
    }
}
