//! OAuth 2.0: what a grant is, when it is refreshed and when it ends.

pub mod connect;
pub mod grant;
pub mod id_token;
pub mod jwt;
pub mod refresh;
