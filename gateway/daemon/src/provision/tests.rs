use super::*;

/// A boot partition and a data partition in a folder.
struct Board {
    root: PathBuf,
    job: Job,
}

impl Board {
    fn new(name: &str) -> Board {
        let root =
            std::env::temp_dir().join(format!("tidegate-provision-{name}-{}", std::process::id()));
        let job = Job {
            from: root.join("boot"),
            to: root.join("data/config"),
            board: "dev".to_owned(),
            report: root.join("report"),
        };
        fs::create_dir_all(job.from.join(PROVISION_FOLDER)).expect("a folder");
        fs::create_dir_all(root.join("data")).expect("a folder");
        Board { root, job }
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.job.from.join(name), text).expect("a file");
    }

    fn read(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.job.to.join(name)).ok()
    }

    /// Without the machine's name and light.
    fn start(&self) -> Provisioned {
        take(&self.job).unwrap_or_else(|problems| fall_back(&self.job, problems))
    }

    fn is_on_boot(&self, name: &str) -> bool {
        self.job.from.join(name).exists()
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.root).expect("a folder that was there");
    }
}

#[track_caller]
fn wrong(done: Provisioned, id: &str, with: &str) {
    match done {
        Provisioned::Wrong { id: found, problems } => {
            assert_eq!(found, id);
            assert!(problems.iter().any(|problem| problem.contains(with)), "{problems:?}");
        }
        done @ (Provisioned::Taken(_) | Provisioned::AsBefore(_)) => panic!("{done:?}"),
    }
}

#[test]
fn a_mistake_is_named_with_its_line_and_the_board_starts_unnamed() {
    let board = Board::new("mistake");
    wrong(board.start(), UNNAMED, "is not on the boot partition");
    board.write(PROVISION_FILE, "id = \"gw-07\"\nssh_kes = []\n");
    wrong(
        board.start(),
        UNNAMED,
        "tidegate-provision.toml:2: ssh_kes: is not a key here; did you mean",
    );
    assert!(board.is_on_boot(PROVISION_FILE), "it stays to be mended");
    let running = read_gateway(&board.job.to.join(GATEWAY)).expect("it starts");
    assert_eq!(running.id, UNNAMED);
}

#[test]
fn what_it_says_is_taken_and_its_secrets_go() {
    let board = Board::new("taken");
    let wifi = "[wifi]\nssid = \"workshop\"\npassword = \"secret88\"\ncountry = \"DE\"\n";
    board.write(PROVISION_FILE, &format!("id = \"gw-07\"\n{wifi}"));
    board.write("tidegate/client.key", "a key");
    assert_eq!(board.start(), Provisioned::Taken("gw-07".to_owned()));
    assert!(!board.is_on_boot(PROVISION_FILE) && !board.is_on_boot(PROVISION_FOLDER));
    assert_eq!(board.read("client.key").as_deref(), Some("a key"));
    assert!(
        board.read("wpa_supplicant.conf").is_some_and(|text| text.contains("psk=\"secret88\""))
    );
    assert_eq!(board.read("console-shell"), None);
    assert_eq!(board.start(), Provisioned::AsBefore("gw-07".to_owned()));
}

#[test]
fn after_a_mistake_a_board_is_what_it_was_and_its_host_key_stays() {
    let board = Board::new("before");
    board.write(PROVISION_FILE, "id = \"gw-07\"\n");
    board.start();
    fs::write(board.job.to.join("ssh/dropbear_ed25519_host_key"), "host").expect("a file");
    board.write(PROVISION_FILE, "id = \"GW 8\"\n");
    wrong(board.start(), "gw-07", "is not an id");
    board.write(PROVISION_FILE, "id = \"gw-08\"\n");
    assert_eq!(board.start(), Provisioned::Taken("gw-08".to_owned()));
    assert_eq!(board.read("ssh/dropbear_ed25519_host_key").as_deref(), Some("host"));
}

#[test]
fn settings_of_ones_own_must_be_good_and_of_the_same_name() {
    let board = Board::new("own");
    board.write(PROVISION_FILE, "id = \"gw-07\"\n");
    fs::create_dir_all(board.job.from.join(PROVISION_FOLDER)).expect("a folder");
    let own = |id: &str, more: &str| {
        let data = board.root.join("data/data");
        let data = data.display();
        format!(
            "[gateway]\nid = \"{id}\"\ndata_dir = \"{data}\"\nboard = \"dev\"\n[local]\nlisten = \"127.0.0.1:1883\"\n{more}"
        )
    };
    board.write("tidegate/gateway.toml", &own("gw-08", ""));
    wrong(board.start(), UNNAMED, "make them the same");
    board.write("tidegate/gateway.toml", &own("gw-07", "[trust]\nfile = \"trust\"\n"));
    wrong(board.start(), UNNAMED, "trust is not there");
    board.write("tidegate/trust", "whatever");
    assert_eq!(board.start(), Provisioned::Taken("gw-07".to_owned()));
}
