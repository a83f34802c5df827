//! The requests that an app is told of while it is built, and what is wrong with them.

use std::any::{TypeId, type_name};

use crate::error::Problem;
use crate::message::request::{Request, Visibility};

/// A request that is handled, expected or exposed.
struct Known {
    id: TypeId,
    type_name: &'static str,
    name: &'static str,
    handlers: usize,
}

#[derive(Default)]
pub(super) struct Requests {
    known: Vec<Known>,
    problems: Vec<Problem>,
}

impl Requests {
    pub(super) fn handled<R: Request>(&mut self) {
        self.known::<R>().handlers += 1;
    }

    pub(super) fn expected<R: Request>(&mut self) {
        self.known::<R>();
    }

    pub(super) fn exposed<R: Request>(&mut self) {
        self.known::<R>();
        match R::VISIBILITY {
            Visibility::Services => self.not_exposable::<R>("it is for other services only"),
            Visibility::Public | Visibility::Internal => self.sent::<R>(),
        }
    }

    /// It goes to another service.
    pub(super) fn sent<R: Request>(&mut self) {
        match (R::VISIBILITY, R::wire()) {
            (Visibility::Internal, _) => self.not_exposable::<R>("it is internal"),
            (_, None) => self.not_exposable::<R>("it has no wire form"),
            (Visibility::Public | Visibility::Services, Some(_)) => {}
        }
    }

    fn not_exposable<R: Request>(&mut self, why: &'static str) {
        self.problems.push(Problem::NotExposable { request: R::NAME, why });
    }

    fn known<R: Request>(&mut self) -> &mut Known {
        let id = TypeId::of::<R>();
        let known = self.known.iter().position(|known| known.id == id);
        let n = known.unwrap_or_else(|| {
            let type_name = type_name::<R>();
            self.known.push(Known { id, type_name, name: R::NAME, handlers: 0 });
            self.known.len() - 1
        });
        &mut self.known[n]
    }

    /// Everything that is wrong with them.
    pub(super) fn problems(self) -> Vec<Problem> {
        let mut problems = self.problems;
        for (n, Known { name, type_name, handlers, .. }) in self.known.iter().enumerate() {
            match handlers {
                0 => problems.push(Problem::MissingHandler { message: name }),
                1 => {}
                _ => problems.push(Problem::DuplicateHandler { name }),
            }
            if let Some(other) = self.known[..n].iter().find(|other| other.name == *name) {
                let types = [other.type_name, *type_name];
                problems.push(Problem::DuplicateName { name, types });
            }
        }
        problems
    }
}
