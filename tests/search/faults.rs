//! What goes wrong, and how it ends.

use link::election::message::Input;
use link::fsm::State as Fsm;
use link::lock::{self, Gap};

use crate::host::{Exchange, HostId, Life};
use crate::step::{Fault, Step};
use crate::world::{World, cidr};

impl World {
    /// Whether a fault can happen now, and would be one.
    pub(crate) fn is_possible(&self, fault: Fault) -> bool {
        if self.state.faults_left == 0 || self.state.lasting.contains(&fault) {
            return false;
        }
        let runs = |id: HostId| self.host(id).runs();
        match fault {
            Fault::Kill(id) | Fault::Freeze(id) | Fault::Cut(id) | Fault::Leave(id) => runs(id),
            Fault::PowerOff(id) => self.host(id).life != Life::Off,
            Fault::LeaderOff(id) => self.host(id).life != Life::Off && self.state.etcd_is_up,
            Fault::Deaf(id) => !self.host(id).deaf,
            Fault::Revoke(id) => {
                let lease = self.host(id).lease;
                lease.is_some_and(|lease| self.state.etcd.has_lease(lease))
            }
            Fault::CheckFails(id) => self.host(id).service,
            Fault::InterfaceDown(id) => self.host(id).carrier,
            Fault::BindFails(id) => self.host(id).takes_address,
            Fault::Failover(id) => runs(id) && self.host(id).core.state() == Fsm::Activated,
            Fault::RequestLost(id) => matches!(self.host(id).exchange, Exchange::Sent(_)),
            Fault::RequestLate(id) => {
                matches!(self.host(id).exchange, Exchange::Sent(_)) && self.host(id).late.is_none()
            }
            Fault::AnswerLost(id) => matches!(self.host(id).exchange, Exchange::Answered(_)),
            // What is read when a watch is opened is told.
            Fault::EventLost(id) => {
                self.host(id).views.front().is_some_and(|view| view.gap == Gap::None)
            }
            Fault::Mistaken(id) => {
                let awaits = self.host(id).core.awaited().is_some();
                runs(id) && self.is_connected(id) && awaits && self.awaits_dead(id).is_none()
            }
            Fault::Missed(id) => self.missed_or_not(id).is_some_and(|(_, truly)| !truly),
            Fault::LockDeleted => self.state.etcd_is_up && self.holder().is_some(),
            Fault::GoLink => self.state.etcd_is_up && !self.state.etcd_refuses,
            Fault::EtcdDown | Fault::EtcdWiped | Fault::EtcdRestored | Fault::EtcdRefuses => {
                self.state.etcd_is_up
            }
        }
    }

    pub(crate) fn begin(&mut self, fault: Fault) {
        self.state.faults_left -= 1;
        self.state.gaps_are_allowed |= !leaves_no_gap(fault);
        if lasts(fault) {
            self.state.lasting.push(fault);
        }
        match fault {
            Fault::Kill(id) => self.host_mut(id).die(Life::Killed),
            Fault::PowerOff(id) => self.host_mut(id).die(Life::Off),
            Fault::LeaderOff(id) => {
                self.host_mut(id).die(Life::Off);
                self.stop_etcd();
            }
            Fault::Deaf(id) => {
                (self.host_mut(id).deaf, self.host_mut(id).claims) = (true, 0);
            }
            Fault::Freeze(id) => {
                (self.host_mut(id).life, self.host_mut(id).claims) = (Life::Frozen, 0);
            }
            Fault::Cut(id) => self.cut(id),
            Fault::Revoke(id) => self.end_lease(id),
            Fault::CheckFails(id) => self.host_mut(id).service = false,
            Fault::InterfaceDown(id) => {
                self.host_mut(id).carrier = false;
                self.host_mut(id).claims = 0;
                self.tell_interface(id);
            }
            Fault::BindFails(id) => self.refuse_address(id),
            Fault::Failover(id) => self.tell(id, Input::Failover(None)),
            Fault::Leave(id) => {
                self.host_mut(id).leaves = true;
                self.tell(id, Input::Leave);
            }
            Fault::RequestLost(id) | Fault::AnswerLost(id) => {
                self.host_mut(id).exchange = Exchange::Unheard;
            }
            Fault::RequestLate(id) => self.delay_request(id),
            Fault::EventLost(id) => {
                self.host_mut(id).views.pop_front();
                self.host_mut(id).missed = true;
            }
            Fault::Mistaken(id) => self.mistake_for_dead(id),
            Fault::Missed(id) => self.miss_by_mistake(id),
            Fault::LockDeleted => self.delete_lock(),
            Fault::GoLink => self.begin_go(),
            Fault::EtcdDown => self.stop_etcd(),
            Fault::EtcdWiped => {
                // That it is another one is told by the watches.
                let cluster = self.state.etcd.cluster();
                self.state.etcd.wipe(cluster);
                self.break_watches();
            }
            Fault::EtcdRestored => {
                self.state.etcd.restore(&self.snapshot, 0);
                self.break_watches();
            }
            Fault::EtcdRefuses => self.state.etcd_refuses = true,
        }
    }

    /// The faults that can end now. What a Go LinK leaves in etcd is removed with it.
    pub(crate) fn endings(&self) -> impl Iterator<Item = Step> {
        let writes = self.state.etcd_is_up && !self.state.etcd_refuses;
        let all = self.state.lasting.iter().copied();
        all.filter(move |fault| writes || *fault != Fault::GoLink).map(Step::Heal)
    }

    pub(crate) fn heal(&mut self, fault: Fault) {
        self.state.lasting.retain(|lasting| *lasting != fault);
        match fault {
            Fault::Kill(id) | Fault::PowerOff(id) => {
                let wanted = if fault == Fault::Kill(id) { Life::Killed } else { Life::Off };
                if self.host(id).life == wanted {
                    self.start(id);
                }
            }
            // There is another leader; the host stays away.
            Fault::LeaderOff(_) | Fault::EtcdDown => self.state.etcd_is_up = true,
            Fault::Deaf(id) => {
                self.host_mut(id).deaf = false;
                self.announce(id);
            }
            Fault::Freeze(id) => {
                if self.host(id).life == Life::Frozen {
                    self.host_mut(id).life = Life::Runs;
                    self.tell(id, Input::Paused);
                    self.tell(id, Input::Bound(self.host(id).bound));
                    self.tell_interface(id);
                }
            }
            Fault::Cut(id) => self.host_mut(id).cut = false,
            Fault::CheckFails(id) => self.host_mut(id).service = true,
            Fault::InterfaceDown(id) => {
                self.host_mut(id).carrier = true;
                self.tell_interface(id);
                self.announce(id);
            }
            Fault::BindFails(id) => {
                self.host_mut(id).takes_address = true;
                // The actuator tries again and again.
                if self.host(id).runs() && self.host(id).core.is_ordered() {
                    self.bind(id);
                    self.tell(id, Input::Bound(true));
                }
            }
            Fault::GoLink => self.end_go(),
            Fault::EtcdRefuses => self.state.etcd_refuses = false,
            Fault::Revoke(_)
            | Fault::Failover(_)
            | Fault::Leave(_)
            | Fault::RequestLost(_)
            | Fault::AnswerLost(_)
            | Fault::RequestLate(_)
            | Fault::EventLost(_)
            | Fault::Mistaken(_)
            | Fault::Missed(_)
            | Fault::LockDeleted
            | Fault::EtcdWiped
            | Fault::EtcdRestored => {}
        }
    }

    fn refuse_address(&mut self, id: HostId) {
        self.host_mut(id).takes_address = false;
        if std::mem::take(&mut self.host_mut(id).bound) {
            self.tell(id, Input::Bound(false));
        }
    }

    fn mistake_for_dead(&mut self, id: HostId) {
        let (_, lease) = self.host(id).core.awaited().expect("it waits");
        self.tell(id, Input::OwnerDead(lease));
    }

    fn miss_by_mistake(&mut self, id: HostId) {
        let (missed, _) = self.missed_or_not(id).expect("it waits without etcd");
        self.tell(id, Input::OwnerMissed(missed));
    }

    /// What was sent may have arrived, or may arrive yet.
    fn delay_request(&mut self, id: HostId) {
        let exchange = std::mem::replace(&mut self.host_mut(id).exchange, Exchange::Unheard);
        if let Exchange::Sent(request) = exchange {
            self.host_mut(id).send_late(request);
        } else {
            self.host_mut(id).exchange = exchange;
        }
    }

    fn cut(&mut self, id: HostId) {
        self.host_mut(id).cut = true;
        self.host_mut(id).stop_watching();
        self.delay_request(id);
        let host = self.host_mut(id);
        if matches!(host.exchange, Exchange::Answered(_) | Exchange::Refused) {
            host.exchange = Exchange::Unheard;
        }
    }

    fn stop_etcd(&mut self) {
        self.state.etcd_is_up = false;
        for host in &mut self.state.hosts {
            host.stop_watching();
            if host.exchange != Exchange::None {
                host.exchange = Exchange::Unheard;
            }
            host.late = None;
        }
    }

    /// etcd is not the one that it was: what was under way is lost with the connections.
    fn break_watches(&mut self) {
        for host in &mut self.state.hosts {
            host.stop_watching();
            host.gap = Gap::Restored;
            if host.exchange != Exchange::None {
                host.exchange = Exchange::Unheard;
            }
            host.late = None;
        }
    }

    fn delete_lock(&mut self) {
        let delete = link::etcd::Txn {
            then: vec![link::etcd::Op::Delete(lock::key(cidr()))],
            ..link::etcd::Txn::default()
        };
        let (_, changes) = self.state.etcd.transact(&delete).expect("a plain deletion");
        self.tell_watches(&changes);
    }
}

/// Whether the IP stays on some host at every moment, as long as another can have it.
fn leaves_no_gap(fault: Fault) -> bool {
    match fault {
        Fault::Failover(_) | Fault::Leave(_) | Fault::RequestLost(_) | Fault::AnswerLost(_) => true,
        // A transfer that is late by seconds comes without warning, and a new owner that does not know
        // it counts as dead.
        Fault::RequestLate(_)
        | Fault::EventLost(_)
        | Fault::Mistaken(_)
        | Fault::Missed(_)
        | Fault::LockDeleted
        | Fault::GoLink
        | Fault::Kill(_)
        | Fault::PowerOff(_)
        | Fault::LeaderOff(_)
        | Fault::Deaf(_)
        | Fault::Freeze(_)
        | Fault::Cut(_)
        | Fault::Revoke(_)
        | Fault::CheckFails(_)
        | Fault::InterfaceDown(_)
        | Fault::BindFails(_)
        | Fault::EtcdDown
        | Fault::EtcdWiped
        | Fault::EtcdRestored
        | Fault::EtcdRefuses => false,
    }
}

/// Whether a fault goes on until it is healed.
fn lasts(fault: Fault) -> bool {
    match fault {
        Fault::Kill(_)
        | Fault::PowerOff(_)
        | Fault::LeaderOff(_)
        | Fault::Deaf(_)
        | Fault::Freeze(_)
        | Fault::Cut(_)
        | Fault::CheckFails(_)
        | Fault::InterfaceDown(_)
        | Fault::BindFails(_)
        | Fault::GoLink
        | Fault::EtcdDown
        | Fault::EtcdRefuses => true,
        Fault::Revoke(_)
        | Fault::Failover(_)
        | Fault::Leave(_)
        | Fault::RequestLost(_)
        | Fault::AnswerLost(_)
        | Fault::RequestLate(_)
        | Fault::EventLost(_)
        | Fault::Mistaken(_)
        | Fault::Missed(_)
        | Fault::LockDeleted
        | Fault::EtcdWiped
        | Fault::EtcdRestored => false,
    }
}
