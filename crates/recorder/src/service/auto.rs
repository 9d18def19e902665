use std::sync::{Arc, PoisonError};

use recorder_api::{AutoRecording, ErrorCode, ServiceError, Storage};
#[cfg(feature = "http")]
use recorder_callback::{DeliverError, Deliverer};
use recorder_types::{SdkAppId, TaskId, UserId};

use super::options::InvalidTask;
use super::recover::Begun;
use super::room::{Room, RoomKey};
use super::tasks::{Inner, Service, internal, new_task_id};
use crate::shell::{RecordingOptions, tell_failed_start};

/// A template as rooms hold it: they go on by the one that was set when they came into being.
#[derive(Debug)]
pub(super) struct Template {
    settings: AutoRecording,
    #[cfg(feature = "http")]
    deliverer: Option<Deliverer>,
}

/// Why a template cannot be used here.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidTemplate {
    /// No task can be made of it.
    #[error(transparent)]
    Task(#[from] InvalidTask),
    /// Its address for callbacks cannot be used.
    #[cfg(feature = "http")]
    #[error("CallbackUrl")]
    Callback(#[from] DeliverError),
    /// Its address for callbacks needs the feature `http`.
    #[cfg(not(feature = "http"))]
    #[error("this service does not send callbacks over HTTP")]
    NoHttp,
}

impl From<InvalidTemplate> for ServiceError {
    fn from(error: InvalidTemplate) -> Self {
        match error {
            InvalidTemplate::Task(error) => error.into(),
            #[cfg(feature = "http")]
            InvalidTemplate::Callback(error) => {
                Self::new(ErrorCode::InvalidParameterValue, format!("CallbackUrl: {error}"))
            }
            #[cfg(not(feature = "http"))]
            InvalidTemplate::NoHttp => Self::new(ErrorCode::UnsupportedOperation, error.to_string()),
        }
    }
}

impl Service {
    /// Records the rooms of `app` by `template`, or by none, without a call: one task for each room, from the first
    /// publication on, until nobody was in it for the resumption timeout. It goes for rooms that come into being from
    /// now on, with their first anchor or their first task; the others keep what they began with.
    ///
    /// The task has a robot of its own and is otherwise as one by [`Self::create`], which it does not hinder: it counts
    /// among those that run and can be described, changed and deleted by the id that its events tell. One that a call
    /// ends does not begin again in that room. Where none can begin, because too many run or the spool fails, or where
    /// one fails, it is tried again every 10 s while somebody publishes.
    /// Events go to the template's address, if it has one, and to [`super::ServiceOptions::with_on_callback`].
    ///
    /// # Errors
    /// [`InvalidTemplate`]; the old template stays.
    ///
    /// # Specification
    /// `trtc-api.md` section 10.
    pub fn set_auto_recording(
        &self,
        app: SdkAppId,
        template: Option<AutoRecording>,
    ) -> Result<(), InvalidTemplate> {
        let template = template.map(|settings| self.0.template(app, settings)).transpose()?;
        let mut templates = self.0.templates.write().unwrap_or_else(PoisonError::into_inner);
        match template {
            Some(template) => templates.insert(app, Arc::new(template)),
            None => templates.remove(&app),
        };
        Ok(())
    }
}

impl Template {
    /// Sends the events of a recording to the template's address, if it has one.
    pub(super) fn deliver(&self, options: RecordingOptions) -> RecordingOptions {
        #[cfg(feature = "http")]
        if let Some(deliverer) = &self.deliverer {
            return options.with_deliverer(deliverer.clone());
        }
        options
    }
}

#[cfg(test)]
impl Template {
    pub(super) fn for_tests() -> Self {
        let text = br#"{"StorageParams": {"CloudStorage":
            {"Vendor": 0, "Region": "r", "Bucket": "b", "AccessKey": "a", "SecretKey": "s"}}}"#;
        let settings = AutoRecording::from_json(text).unwrap();
        #[cfg(feature = "http")]
        return Self { settings, deliverer: None };
        #[cfg(not(feature = "http"))]
        Self { settings }
    }
}

impl Inner {
    #[cfg_attr(
        not(feature = "http"),
        expect(unused_variables, reason = "only callbacks are an application's")
    )]
    fn template(&self, app: SdkAppId, settings: AutoRecording) -> Result<Template, InvalidTemplate> {
        if matches!(settings.storage, Storage::Vod(_)) && self.options.library.is_none() {
            return Err(InvalidTask::Vod.into());
        }
        #[cfg(not(feature = "http"))]
        if settings.callback_url.is_some() {
            return Err(InvalidTemplate::NoHttp);
        }
        #[cfg(feature = "http")]
        let deliverer = {
            let _entered = self.runtime.enter();
            let options = self.options.template_callbacks;
            let key = settings.callback_key.clone();
            settings.callback_url.clone().map(|url| Deliverer::new(url, key, app, options)).transpose()?
        };
        Ok(Template {
            settings,
            #[cfg(feature = "http")]
            deliverer,
        })
    }

    /// Begins the recording by template of a room if it is due. Does not wait; nothing that comes from now on is lost
    /// meanwhile.
    pub(super) fn begin_if_due(self: &Arc<Self>, at: &mut Room, room: &RoomKey) {
        let now = self.now();
        let Some(template) = at.auto_due(now) else { return };
        match self.begin_auto(at, room, &template) {
            Ok(task) => at.auto_begins(task),
            Err(error) => {
                tracing::error!(code = error.code(), %error, "a recording by template could not begin");
                at.auto_failed(now);
            }
        }
    }

    fn begin_auto(
        self: &Arc<Self>,
        at: &mut Room,
        room: &RoomKey,
        template: &Template,
    ) -> Result<TaskId, ServiceError> {
        let id = new_task_id(room.app).map_err(|error| internal(&error))?;
        // Nobody in the room has the id of a task that has just been made up.
        let robot: UserId = format!("auto_{id}").parse().map_err(|error| internal(&error))?;
        let request = template.settings.to_request(room.app, room.room.clone(), robot);
        let options = template.deliver(self.prepare(&request, &id, room)?);
        let options = options.with_note(self.note(request.resource_expires_after, Begun::ByTemplate));
        let clock = self.clock.another(options.clock);
        if let Err(error) = self.admit(&request, &id, room) {
            if at.auto_may_tell() {
                self.runtime.spawn_blocking(move || tell_failed_start(&options, clock));
            }
            return Err(error);
        }
        at.join(id.clone(), clock, self.now());
        // A failure tells itself by event 301.
        drop(self.start(id.clone(), room.clone(), clock, options));
        Ok(id)
    }
}
