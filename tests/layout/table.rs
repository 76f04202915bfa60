//! What is allowed where.

/// Lines of a file, tests included.
pub(crate) const LONGEST_FILE: usize = 400;
/// Lines of a function.
pub(crate) const LONGEST_FUNCTION: usize = 60;
/// Fields of a struct that decides.
pub(crate) const MOST_FIELDS: usize = 12;

/// Each module of the crate with those that it uses, from the ground up: a module uses only what stands
/// above it here, so there is no circle.
pub(crate) const MODULES: &[(&str, &str)] = &[
    ("bell", ""),
    ("carrier", ""),
    ("clock", ""),
    ("duration", ""),
    ("fsm", ""),
    ("fuzzing", ""),
    ("http", ""),
    ("few", ""),
    ("interface_name", ""),
    ("network", ""),
    ("ping", ""),
    ("policy", ""),
    ("preference", ""),
    ("secret", ""),
    ("sorted", ""),
    ("text", ""),
    ("thread", ""),
    ("vip", "interface_name text"),
    ("tcp", "thread"),
    ("metrics", "fsm text vip"),
    ("tls", "carrier metrics"),
    ("etcd", "clock metrics secret tcp thread tls"),
    ("failure_detector", "few network sorted vip"),
    ("call", "etcd failure_detector network text vip"),
    ("local_copy", "thread"),
    ("logging", "text thread"),
    ("net", "clock few metrics network ping policy sorted thread vip"),
    ("checks", "net tcp text thread tls vip"),
    ("systemd", "ping text"),
    ("wire", "vip"),
    ("history", "fsm vip wire"),
    ("hooks", "checks fsm history metrics secret thread vip"),
    ("lock", "etcd network preference sorted text vip"),
    (
        "election",
        "checks clock etcd fsm history lock net network ping policy preference thread vip",
    ),
    ("store", "call etcd interface_name lock network policy sorted vip"),
    ("cluster", "call etcd lock sorted store text vip wire"),
    ("command", "cluster history metrics policy sorted vip wire"),
    (
        "api",
        "bell carrier cluster command few history http interface_name metrics ping policy secret sorted text thread tls vip wire",
    ),
    (
        "config",
        "call checks duration etcd hooks interface_name lock net policy preference secret store text tls vip",
    ),
    // Of config only which variables there are.
    ("ctl", "carrier config duration http policy secret tcp text thread vip wire"),
    ("machine", "metrics network store"),
    (
        "supervisor",
        "bell call checks clock cluster command election etcd failure_detector few fsm history hooks \
         local_copy lock machine metrics net network ping policy sorted store systemd text thread vip \
         wire",
    ),
    ("reload", "net text"),
    (
        "daemon",
        "api bell carrier checks config etcd history local_copy logging metrics net ping policy reload \
         supervisor systemd text tls",
    ),
];

/// What stands in these files only, by the beginnings of their paths.
pub(crate) const PLACES: &[(&str, &[&str])] = &[
    ("unsafe", &["src/net/sys.rs"]),
    ("async", &["src/etcd/"]),
    ("tokio", &["src/etcd/"]),
    ("tonic", &["src/etcd/"]),
    ("rustls", &["src/checks/tls.rs", "src/tls/"]),
    ("hmac", &["src/hooks/signature.rs"]),
    ("etcd_client", &["src/etcd/"]),
    ("tiny_http", &["src/api/"]),
    // State has one owner. The queue of an election is one that is small; etcd's client is made once for several tasks.
    ("Mutex", &["src/election/inbox.rs", "src/etcd/pool.rs"]),
    ("RwLock", &[]),
    // config reads the environment through daemon; linkctl is a program of its own; traces are only in builds for the lab.
    ("std::env", &["src/daemon/", "src/reload/", "src/ctl/", "src/election/trace.rs"]),
];

/// What decides or only knows words: no clock, no log, no file, no socket, and neither edge.
pub(crate) const PURE: &[&str] = &[
    "src/call/",
    "src/checks/board.rs",
    "src/checks/counter.rs",
    "src/cluster/",
    "src/command.rs",
    "src/election/core",
    "src/election/known.rs",
    "src/failure_detector/",
    "src/fsm.rs",
    "src/history/",
    "src/hooks/notification.rs",
    "src/hooks/queue.rs",
    "src/hooks/signature.rs",
    "src/http.rs",
    "src/interface_name.rs",
    "src/lock/",
    "src/metrics/",
    "src/network.rs",
    "src/policy.rs",
    "src/preference.rs",
    "src/secret.rs",
    "src/few.rs",
    "src/sorted.rs",
    "src/store/",
    "src/supervisor/core/",
    "src/text.rs",
    "src/vip/",
    "src/wire/",
];

/// What a pure file does not name.
pub(crate) const IMPURE: &[&str] = &[
    "Instant::now",
    "SystemTime::now",
    "since_boot",
    "std::fs",
    "std::process",
    "TcpStream",
    "UdpSocket",
    "trace!",
    "debug!",
    "info!",
    "warn!",
    "error!",
    "crate::net::",
    "crate::api::",
];

/// What decides, and is to be held in one head.
pub(crate) const CORES: &[&str] =
    &["src/election/core/", "src/failure_detector/", "src/supervisor/core/"];

/// Files that are longer than they should be, with the length that they must not exceed.
pub(crate) const LONG_FILES: &[(&str, usize)] = &[("tests/sim/audit.rs", 486)];

/// Files with functions that are longer than they should be.
pub(crate) const LONG_FUNCTIONS: &[&str] = &["tests/sim/world/"];

/// Folders whose modules use each other in circles.
pub(crate) const CIRCLES: &[&str] = &["src/election/"];
