//! What CloudFormation takes from the account and the region that it deploys to.

use local_aws::{ACCOUNT, REGION};

/// Where a template runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// `AWS::Region`.
    pub region: String,
    /// `AWS::AccountId`, 12 digits.
    pub account: String,
    /// Queue URLs are `{sqs_base}/{account}/{queue name}`.
    pub sqs_base: String,
    pub api_url: String,
    /// Parameters that the local run sets by itself, over what is given and whatever the template allows: addresses that are known
    /// only once it runs.
    pub own: Vec<(String, String)>,
}

impl Context {
    /// The place of a template that is only read: nothing in it leads to an address.
    pub fn nowhere() -> Self {
        let (sqs_base, api_url) = (String::new(), String::new());
        Self { region: REGION.into(), account: ACCOUNT.into(), sqs_base, api_url, own: Vec::new() }
    }
}
