//! Whose pushes are taken, and for which groups.

use crate::folder::Folder;
use crate::gateway::{check_local, read};
use tidegate_config::explain;

#[test]
fn what_is_wrong_is_said() {
    check_local(
        "pushes-wrong",
        "groups = [\"Boilers\", \"a/b\"]\nrestarts_max = 11\n[local]\nlisten = \"127.0.0.1:1\"\n[trust]\nfile = \"nowhere\"\n",
        r#"
gateway.toml:5: gateway.groups[0]: "Boilers" is not a group's name; use 1 to 32 of a-z, 0-9 and -
gateway.toml:5: gateway.groups[1]: "a/b" is not a group's name; use 1 to 32 of a-z, 0-9 and -
gateway.toml:6: gateway.restarts_max: 11 is out of range; use 0 to 10
gateway.toml:10: trust.file: nowhere is not there; `tidegate trust init` makes one
"#,
    );
}

#[test]
fn what_is_good_is_explained() {
    let folder = Folder::new("pushes-good");
    folder.write("trust", "whatever; the daemon looks into it");
    let text = "[gateway]\nid = \"gw-01\"\ndata_dir = \"data\"\nboard = \"dev\"\ngroups = [\"boilers\", \"hall-3\", \"boilers\"]\n\
                restarts_max = 0\n[local]\nlisten = \"127.0.0.1:1\"\n[trust]\nfile = \"trust\"\n";
    let settings = read(&folder, text).expect("it is good");
    assert_eq!((settings.groups.join(" ").as_str(), settings.restarts_max), ("boilers hall-3", 0));
    assert_eq!(settings.stale_after_s, 30 * 86_400);
    let path = folder.path.join("trust");
    let line = format!(
        "pushes      to gw-01, group:boilers, group:hall-3, signed as {} says",
        path.display()
    );
    assert!(explain(&settings).lines().any(|told| told == line), "{}", explain(&settings));
}
