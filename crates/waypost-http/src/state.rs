//! What handlers share.

use std::sync::Arc;

use axum::extract::FromRef;
use waypost_control::App;

use crate::request_memory::RequestMemory;
use crate::settings::HttpSettings;

/// Shared by all handlers. Cloning shares it.
#[derive(Clone, Debug)]
pub(crate) struct HttpState {
    pub(crate) app: Arc<App>,
    pub(crate) settings: Arc<HttpSettings>,
    /// What bodies of requests may take.
    pub(crate) memory: Arc<RequestMemory>,
}

impl FromRef<HttpState> for Arc<App> {
    fn from_ref(state: &HttpState) -> Self {
        Self::clone(&state.app)
    }
}

impl FromRef<HttpState> for Arc<HttpSettings> {
    fn from_ref(state: &HttpState) -> Self {
        Self::clone(&state.settings)
    }
}

impl FromRef<HttpState> for Arc<RequestMemory> {
    fn from_ref(state: &HttpState) -> Self {
        Self::clone(&state.memory)
    }
}
