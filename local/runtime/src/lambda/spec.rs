//! What a function is and where it runs: all that an execution environment is made from.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use local_aws::AccessKeys;

/// One function as the template declares it, with its bootstrap on this machine.
#[derive(Clone, Debug)]
pub struct FunctionSpec {
    pub name: String,
    /// The bootstrap. Its folder is the process's working directory.
    pub binary: PathBuf,
    /// Arguments of the bootstrap; Lambda gives none.
    pub arguments: Vec<String>,
    /// `MemorySize` in MB: told to the function, not enforced.
    pub memory_mb: u32,
    /// `Timeout` of one invocation.
    pub timeout: Duration,
    pub environment: BTreeMap<String, String>,
    /// How many execution environments may exist at once.
    pub concurrency: usize,
    /// `LoggingConfig.ApplicationLogLevel`, for example `INFO`.
    pub log_level: String,
    /// Variables that lead the AWS SDK to this machine: `AWS_ENDPOINT_URL_SQS` and the like.
    pub endpoints: BTreeMap<String, String>,
}

/// What all functions of a stack share.
#[derive(Clone, Debug)]
pub struct Host {
    /// The `AWS_REGION` of the functions.
    pub region: String,
    /// The account in the functions' ARNs.
    pub account: String,
    /// Folder of the logs, one file `{function}.log` each.
    pub log_dir: PathBuf,
    /// The functions by access key.
    pub access_keys: AccessKeys,
}

impl Host {
    /// The ARN of the function called `name`.
    pub fn function_arn(&self, name: &str) -> String {
        format!("arn:aws:lambda:{}:{}:function:{name}", self.region, self.account)
    }
}
