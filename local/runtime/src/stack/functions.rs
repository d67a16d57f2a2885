//! Functions of the template, as they run on this machine.

use std::{collections::BTreeMap, path::PathBuf};

use local_aws::{ACCOUNT, AccessKeys, REGION, Service};

use crate::{
    bootstraps::Bootstraps,
    lambda::{FunctionSpec, Host},
    template::Function,
};

/// Execution environments per function, unless the template reserves fewer.
const ENVIRONMENTS: usize = 64;

/// Where functions run.
pub fn host(log_dir: PathBuf, access_keys: AccessKeys) -> Host {
    Host { region: REGION.into(), account: ACCOUNT.into(), log_dir, access_keys }
}

/// A function as the template declares it, with its bootstrap here.
pub fn spec(declared: &Function, bootstraps: &Bootstraps, endpoints: BTreeMap<String, String>) -> FunctionSpec {
    let reserved = declared.reserved_concurrency.and_then(|count| usize::try_from(count).ok());
    FunctionSpec {
        name: declared.name.clone(),
        binary: bootstraps.path(&declared.binary),
        arguments: Vec::new(),
        memory_mb: declared.memory_mb,
        timeout: declared.timeout,
        environment: declared.environment.clone(),
        concurrency: reserved.unwrap_or(ENVIRONMENTS),
        log_level: declared.log_level.clone(),
        endpoints,
    }
}

/// The variables that lead the SDKs to the AWS at `aws_url`.
pub fn endpoints(aws_url: &str) -> BTreeMap<String, String> {
    Service::ALL.into_iter().map(|service| (service.endpoint_variable().to_owned(), aws_url.to_owned())).collect()
}
