//! Holds the house's shape: which crate may see which, who imports what, and what no file may hold.
//! Each rule is a function from what is there to what is wrong, and has a test that plants the fault.

mod arrows;
mod code;
mod files;
mod members;
mod paths;

use files::SourceFile;

/// Fails with every finding at once.
#[track_caller]
fn assert_none(findings: Vec<String>) {
    assert!(findings.is_empty(), "{} findings:\n  {}", findings.len(), findings.join("\n  "));
}

#[test]
fn arrows_point_downwards() {
    assert_none(arrows::wrong_arrows(&members::all()));
}

#[test]
fn libraries_are_imported_where_they_belong() {
    let members = members::all();
    assert_none(arrows::wrong_imports(&members));
    assert_none(arrows::scattered_imports(&SourceFile::all_rust()));
}

#[test]
fn the_lowest_floor_needs_nothing() {
    assert_none(arrows::heavy_floor(&members::all(), &SourceFile::all_rust()));
}

#[test]
fn files_are_short() {
    assert_none(code::too_long(&SourceFile::all_rust()));
}

#[test]
fn nothing_is_left_undone() {
    assert_none(code::left_undone(&SourceFile::all_rust()));
}

#[test]
fn unsafe_stays_in_the_guest_glue() {
    assert_none(code::stray_unsafe(&SourceFile::all_rust()));
}

#[test]
fn order_never_depends_on_a_hash() {
    assert_none(code::hashed_order(&SourceFile::all_rust()));
}

#[test]
fn no_file_knows_this_machine() {
    assert_none(paths::machine_bound(&SourceFile::all_text()));
}

#[test]
fn the_lock_file_knows_one_registry() {
    assert_none(paths::foreign_sources(&SourceFile::lock_file()));
}

#[test]
fn no_module_is_committed() {
    assert_none(paths::built_files(&SourceFile::committed_names()));
}
