//! Requests over the memory bus: who answers which names, and the way back.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::future::pending;

use async_trait::async_trait;
use futures_util::stream::{self, StreamExt};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use super::{MemoryBus, closed};
use crate::error::{Error, ErrorKind, Result};
use crate::port::bus::BusLimits;
use crate::port::delivery::InboundMessage;
use crate::port::reply::ReplyMessage;
use crate::port::request::{
    InboundRequest, OutboundRequest, Requester, Requests, Respond, Responder,
};

/// Requests that wait for one responder, at most.
const WAITING: usize = 1_024;

/// Who answers which names.
#[derive(Debug, Default)]
pub(super) struct Responders(HashMap<String, Vec<Place>>);

/// One of those who answer a name.
#[derive(Debug)]
struct Place {
    responder: u64,
    connection: u64,
    sender: mpsc::Sender<InboundRequest>,
}

/// Why a request is not handed over.
enum Refused {
    Nobody,
    /// Too many wait for whoever answers.
    Full,
}

impl Responders {
    /// Hands a request to the next one of those who answer it and have room. Back: nobody has.
    fn hand(&mut self, mut request: InboundRequest) -> Result<(), Refused> {
        let name = &request.message().name;
        let Some(places) = self.0.get_mut(name).filter(|places| !places.is_empty()) else {
            return Err(Refused::Nobody);
        };
        places.rotate_left(1);
        let mut refused = Refused::Nobody;
        for place in places.iter().rev() {
            request = match place.sender.try_send(request) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Full(request)) => {
                    refused = Refused::Full;
                    request
                }
                Err(TrySendError::Closed(request)) => request,
            };
        }
        Err(refused)
    }

    fn remove(&mut self, is_wanted: impl Fn(&Place) -> bool) {
        for places in self.0.values_mut() {
            places.retain(|place| !is_wanted(place));
        }
        self.0.retain(|_, places| !places.is_empty());
    }

    /// Nobody answers through this connection any more.
    pub(super) fn leave(&mut self, connection: u64) {
        self.remove(|place| place.connection == connection);
    }
}

/// Takes a responder out of the bus when it is dropped.
struct Leaving {
    bus: MemoryBus,
    responder: u64,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.bus.state().responders.remove(|place| place.responder == self.responder);
    }
}

/// The way back of one request.
struct WayBack {
    asker: oneshot::Sender<Result<ReplyMessage>>,
    limits: BusLimits,
}

#[async_trait]
impl Respond for WayBack {
    async fn reply(self: Box<Self>, to: InboundMessage, reply: ReplyMessage) -> Result<()> {
        let refused = reply.check(&to, &self.limits);
        let reply = match &refused {
            Ok(()) => reply,
            Err(error) => ReplyMessage::unsendable(error),
        };
        // As a network would carry it: nothing but the attributes and the body.
        let attributes = reply.attributes(&to, "memory");
        let attributes = attributes.iter().map(|(name, value)| (*name, &**value));
        let reply = ReplyMessage::of_attributes(attributes, reply.body.clone());
        // Nobody may wait any more.
        let _ = self.asker.send(reply);
        refused
    }

    async fn given_up(&mut self) {
        self.asker.closed().await;
    }
}

#[async_trait]
impl Requester for MemoryBus {
    async fn request(&self, request: OutboundRequest) -> Result<ReplyMessage> {
        request.check(&self.capabilities.limits)?;
        let attributes = request.attributes("memory");
        let attributes = attributes.iter().map(|(name, value)| (*name, &**value));
        let message = InboundMessage::of_attributes(attributes, request.body.clone(), 1)?;
        let (asker, answer) = oneshot::channel();
        let mut is_closed = self.connection.closed.subscribe();
        {
            let mut state = self.state();
            if self.is_closed() {
                return Err(closed());
            }
            let way_back = WayBack { asker, limits: self.capabilities.limits };
            state.responders.hand(InboundRequest::new(message, way_back)).map_err(|refused| {
                let name = &request.name;
                match refused {
                    Refused::Nobody => request.unroutable(),
                    Refused::Full => {
                        let context = format!(
                            "{WAITING} requests wait for whoever answers `{name}`: try again"
                        );
                        Error::new(ErrorKind::Overloaded, context)
                    }
                }
            })?;
        }
        let answered = async {
            match answer.await {
                Ok(reply) => reply,
                // It was dropped: over a network nothing would come.
                Err(_) => pending().await,
            }
        };
        tokio::select! {
            answer = tokio::time::timeout(request.timeout, answered) => match answer {
                Ok(reply) => reply.map_err(|error| request.misunderstood(error)),
                Err(_) => Err(request.unanswered()),
            },
            _ = is_closed.wait_for(|closed| *closed) => Err(request.abandoned()),
        }
    }
}

#[async_trait]
impl Responder for MemoryBus {
    async fn respond(&self, names: Vec<String>) -> Result<Requests> {
        Requests::check_names(&names, &self.capabilities.limits)?;
        let (sender, requests) = mpsc::channel(WAITING);
        let mut state = self.state();
        if self.is_closed() {
            return Err(closed());
        }
        let (responder, connection) = (state.next(), self.connection.id);
        for name in names {
            let place = Place { responder, connection, sender: sender.clone() };
            match state.responders.0.entry(name) {
                Entry::Occupied(mut others) => others.get_mut().push(place),
                Entry::Vacant(free) => drop(free.insert(vec![place])),
            }
        }
        drop(state);
        let leaving = || Leaving { bus: self.clone(), responder };
        let (close, kept) = (leaving(), leaving());
        let requests = stream::unfold((requests, kept), |(mut requests, kept)| async {
            Some((requests.recv().await?, (requests, kept)))
        });
        Ok(Requests::new(requests.boxed(), move || drop(close)))
    }
}
