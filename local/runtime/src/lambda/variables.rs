//! The environment variables of a bootstrap: exactly the template's and the ones Lambda sets for
//! OS-only runtimes (`provided.*`), which are without `AWS_EXECUTION_ENV` and `_X_AMZN_TRACE_ID`.

use std::{collections::BTreeMap, net::SocketAddr, path::Path};

use local_base::now;
use uuid::Uuid;

use super::{FunctionSpec, Host};

const RUNTIME_DIR: &str = "/var/runtime";

/// What distinguishes an environment of a function from the others.
pub(super) struct Identity {
    pub(super) access_key: String,
    pub(super) log_stream: String,
}

impl Identity {
    pub(super) fn new() -> Self {
        let id = Uuid::new_v4().simple().to_string();
        Self {
            access_key: format!("ASIA{}", id[..16].to_uppercase()),
            log_stream: format!("{}/[$LATEST]{id}", now().strftime("%Y/%m/%d")),
        }
    }
}

/// All variables of an environment with its code in `task_root`. As on AWS, the template may
/// replace the search paths and the locale, and nothing else of Lambda's.
pub(super) fn variables(
    spec: &FunctionSpec,
    host: &Host,
    identity: &Identity,
    task_root: &Path,
    runtime_api: SocketAddr,
) -> BTreeMap<String, String> {
    let task_root = task_root.display();
    let replaceable = owned([
        ("LANG", "en_US.UTF-8"),
        ("PATH", "/usr/local/bin:/usr/bin/:/bin:/opt/bin"),
        (
            "LD_LIBRARY_PATH",
            &format!("/lib64:/usr/lib64:{RUNTIME_DIR}:{RUNTIME_DIR}/lib:{task_root}:{task_root}/lib:/opt/lib"),
        ),
    ]);
    let reserved = owned([
        ("AWS_ACCESS_KEY_ID", identity.access_key.as_str()),
        ("AWS_DEFAULT_REGION", &host.region),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", &spec.memory_mb.to_string()),
        ("AWS_LAMBDA_FUNCTION_NAME", &spec.name),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
        ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", &format!("/aws/lambda/{}", spec.name)),
        ("AWS_LAMBDA_LOG_LEVEL", &spec.log_level),
        ("AWS_LAMBDA_LOG_STREAM_NAME", &identity.log_stream),
        ("AWS_LAMBDA_RUNTIME_API", &runtime_api.to_string()),
        ("AWS_REGION", &host.region),
        ("AWS_SECRET_ACCESS_KEY", &Uuid::new_v4().simple().to_string()),
        ("AWS_SESSION_TOKEN", &Uuid::new_v4().simple().to_string()),
        ("LAMBDA_RUNTIME_DIR", RUNTIME_DIR),
        ("LAMBDA_TASK_ROOT", &task_root.to_string()),
        ("TZ", ":UTC"),
        ("_HANDLER", "bootstrap"),
    ]);
    let mut variables = BTreeMap::from(replaceable);
    variables.extend(spec.environment.clone());
    variables.extend(reserved);
    variables.extend(spec.endpoints.clone());
    variables
}

fn owned<const N: usize>(pairs: [(&str, &str); N]) -> [(String, String); N] {
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned()))
}
