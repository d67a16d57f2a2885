//! The layers inside a crate: which module may import which.
//!
//! Imports are read from the source with `syn`. A path counts for the module that defines its item, not for one that re-exports
//! it, so that a facade hides no circle. A module and those in its folder are one unit, so imports between them don't count; the root
//! of a function's crate is one with its modules, that of another crate is not. Tests may import what they like.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use local_runtime::bootstraps::root;
use syn::{UseTree, Visibility, ext::IdentExt as _, visit::Visit};

/// Rooms of a crate, the lowest first: each imports only those before it.
const DOMAIN: &[&str] = &[
    "id",
    "fence",
    "offered",
    "sentence",
    "error",
    "reason",
    "secret",
    "call",
    "oauth",
    "provider_api",
    "sync",
    "integration",
    "webhook",
    "messages",
];
const PLATFORM: &[&str] = &["base", "aws", "stores", "client", "runtime"];

/// The segments of a path from the crate's root; the root's own is empty.
type Module = Vec<String>;

/// The modules of a crate, and what each imports.
#[derive(Default)]
struct Modules {
    imports: BTreeMap<Module, BTreeSet<Vec<String>>>,
    /// Whether the other modules have methods of the root's type.
    is_function: bool,
    /// Where a re-exported name leads.
    exports: BTreeMap<Vec<String>, Vec<String>>,
}

impl Modules {
    /// Reads a crate from its folder of sources.
    fn read(source: &Path) -> Self {
        let is_function = source.starts_with(root().join("functions"));
        let mut all = Self { is_function, ..Self::default() };
        let mut folders = vec![source.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|it| it == "rs") {
                    let module = path.strip_prefix(source).unwrap().with_extension("");
                    let mut module: Module = module.iter().map(|it| it.to_str().unwrap().to_owned()).collect();
                    module.pop_if(|it| ["mod", "lib", "main"].contains(&it.as_str()));
                    if !module.iter().any(|it| it == "tests") {
                        all.add(&module, &syn::parse_file(&fs::read_to_string(&path).unwrap()).unwrap());
                    }
                }
            }
        }
        all
    }

    fn add(&mut self, module: &Module, file: &syn::File) {
        self.imports.entry(module.clone()).or_default();
        Reader { module, modules: self }.visit_file(file);
    }

    /// The module that defines the item at a path; none if the path leaves the crate.
    fn defining(&self, path: &[String]) -> Option<&Module> {
        let mut path = path.to_vec();
        while let Some(length) = (1..=path.len()).rev().find(|length| self.exports.contains_key(&path[..*length])) {
            path = [&self.exports[&path[..length]][..], &path[length..]].concat();
        }
        (0..=path.len()).rev().find_map(|length| self.imports.get_key_value(&path[..length])).map(|(module, _)| module)
    }

    /// Which module imports which other unit's.
    fn arrows(&self) -> BTreeMap<&Module, BTreeSet<&Module>> {
        let within =
            |outer: &Module, inner: &Module| (self.is_function || !outer.is_empty()) && inner.starts_with(outer);
        let targets = |(module, paths): (_, &BTreeSet<Vec<String>>)| {
            let targets = paths.iter().filter_map(|path| self.defining(path));
            (module, targets.filter(|it| *it != module && !within(it, module) && !within(module, it)).collect())
        };
        self.imports.iter().map(targets).collect()
    }
}

/// Reads the paths in the code of one module.
struct Reader<'a> {
    module: &'a Module,
    modules: &'a mut Modules,
}

impl Reader<'_> {
    fn import(&mut self, path: &[String]) {
        self.modules.imports.entry(self.module.clone()).or_default().extend(from_root(self.module, path));
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let mut named = Vec::new();
        flatten(&item.tree, &mut Vec::new(), &mut named);
        for (path, name) in named {
            match (from_root(self.module, &path), &item.vis) {
                (Some(_), Visibility::Inherited) | (None, _) => self.import(&path),
                (Some(path), Visibility::Public(_) | Visibility::Restricted(_)) => {
                    self.modules.exports.insert([&self.module[..], &[name]].concat(), path);
                }
            }
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.import(&path.segments.iter().map(|it| it.ident.unraw().to_string()).collect::<Vec<_>>());
        syn::visit::visit_path(self, path);
    }

    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !module.attrs.iter().any(|it| it.path().is_ident("cfg")) {
            syn::visit::visit_item_mod(self, module);
        }
    }
}

/// The paths of a use statement, each with the name that it brings.
fn flatten(tree: &UseTree, prefix: &mut Vec<String>, named: &mut Vec<(Vec<String>, String)>) {
    let path = |name: &syn::Ident, prefix: &[String]| {
        let name = name.unraw().to_string();
        if name == "self" { prefix.to_vec() } else { [prefix, &[name]].concat() }
    };
    match tree {
        UseTree::Path(it) => {
            prefix.push(it.ident.unraw().to_string());
            flatten(&it.tree, prefix, named);
            prefix.pop();
        }
        UseTree::Name(it) => {
            let path = path(&it.ident, prefix);
            let name = path.last().cloned().unwrap_or_default();
            named.push((path, name));
        }
        UseTree::Rename(it) => named.push((path(&it.ident, prefix), it.rename.unraw().to_string())),
        UseTree::Group(it) => it.items.iter().for_each(|tree| flatten(tree, prefix, named)),
        UseTree::Glob(_) => named.push((prefix.clone(), String::from("*"))),
    }
}

/// A path from the crate's root; none for one of another crate. A path that begins with a module of `module` is one of it.
fn from_root(module: &Module, path: &[String]) -> Option<Vec<String>> {
    let supers = path.iter().take_while(|it| *it == "super").count();
    match path.first()?.as_str() {
        "crate" => Some(path[1..].to_vec()),
        "self" => Some([&module[..], &path[1..]].concat()),
        "super" => Some([&module[..module.len().saturating_sub(supers)], &path[supers..]].concat()),
        _ => Some([&module[..], path].concat()).filter(|_| path.len() > 1),
    }
}

/// A circle of imports, if there is one.
fn circle(arrows: &BTreeMap<&Module, BTreeSet<&Module>>) -> Option<Vec<String>> {
    let mut left = arrows.clone();
    // What imports nothing that is left is on no circle.
    while let Some(leaf) =
        left.iter().find(|(_, to)| to.is_disjoint(&left.keys().copied().collect())).map(|(it, _)| *it)
    {
        left.remove(leaf);
    }
    let mut at = *left.keys().next()?;
    let mut way = Vec::new();
    while !way.contains(&at) {
        way.push(at);
        at = left[at].iter().find(|it| left.contains_key(**it))?;
    }
    let start = way.iter().position(|it| *it == at)?;
    Some(way[start..].iter().chain([&at]).map(|it| it.join("::")).collect())
}

/// The folders of sources of the workspace's crates, but the tests'.
fn sources() -> Vec<std::path::PathBuf> {
    let folders = ["functions", "local", "shared"].map(|folder| root().join(folder));
    let crates =
        folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap()).map(|it| it.unwrap().path().join("src"));
    crates.filter(|it| it.is_dir()).collect()
}

#[test]
fn no_modules_of_a_crate_import_each_other_in_a_circle() {
    let sources = sources();
    assert!(sources.len() >= 17, "{sources:?}");
    for source in sources {
        let modules = Modules::read(&source);
        assert!(!modules.imports.is_empty(), "{source:?}");
        assert_eq!(circle(&modules.arrows()), None, "{source:?}");
    }
}

#[test]
fn each_room_imports_only_the_rooms_below_it() {
    for (name, rooms) in [("domain", DOMAIN), ("platform", PLATFORM)] {
        let modules = Modules::read(&root().join("shared").join(name).join("src"));
        let floor = |module: &Module| {
            let room = module.first()?;
            Some(rooms.iter().position(|it| it == room).unwrap_or_else(|| panic!("{name}: {room} has no place")))
        };
        let mut seen = 0;
        for (from, all) in modules.arrows() {
            for to in all {
                seen += 1;
                assert!(
                    floor(from) >= floor(to) || from.is_empty(),
                    "{name}: {} imports {}",
                    from.join("::"),
                    to.join("::")
                );
            }
        }
        assert!(seen > 50, "{name}: {seen} imports");
    }
}

#[test]
fn a_circle_behind_a_re_export_is_found() {
    let mut modules = Modules::default();
    for (module, text) in [
        ("", "mod facade; mod reader;"),
        ("facade", "mod item; pub use self::item::Item;"),
        ("facade::item", "use crate::reader::read; pub struct Item;"),
        ("reader", "pub fn read(_: crate::facade::Item) {}"),
    ] {
        let module = module.split("::").filter(|it| !it.is_empty()).map(str::to_owned).collect();
        modules.add(&module, &syn::parse_str(text).unwrap());
    }
    assert_eq!(circle(&modules.arrows()).unwrap(), ["facade::item", "reader", "facade::item"]);
}
