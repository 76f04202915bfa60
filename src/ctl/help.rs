//! What `--help` says.

use super::subcommand::Verb;

/// The overview.
pub(super) const OVERVIEW: &str = "\
Manage the IPs of a LinK agent.

Usage: linkctl [OPTIONS] COMMAND

Look:
  status            the whole cluster: hosts, IPs, and what needs a person
  watch             the same, again and again
  list              the IPs of the agent's host, and who owns them; or the commands that
                    make another host offer the same
  show IP|ID        everything about one of them
  events            what happened on the agent's host, and why
  doctor            what is wrong with this host and its etcd, and what to do about it
  version           the versions of the agent and of this program

Say which IPs the agent's host shares:
  add IP            share an IP: this host becomes a candidate for it
  add -f FILE       share many, all of them or none
  set IP|ID         change its health checks or its policy, where it is
  apply -f FILE     share exactly those in a file: add, change, delete
  delete IP|ID      stop sharing it on this host; another candidate takes it first

Move IPs:
  failover IP|ID    hand it to another host; only on its owner
  lock IP|ID        try to become its owner now
  drain             hand all IPs over and campaign for none, before maintenance
  undrain           be a candidate again
  fence HOST        take the IPs of another host at once, which is switched off
  leave             take this host out: delete all its IPs, and its records in etcd

Options, before or after the command:
  --host HOST[:PORT]   the agent, default 127.0.0.1:1313   [LINK_HOST]
                       with TLS https://HOST[:PORT]; or a name from
                       ~/.config/link/config, where [default] is the default
  --cacert FILE        with https:// the authority of its certificate, a PEM
                       file; none: the system's            [LINK_CACERT]
  --user USER          when the agent has a password       [LINK_USER]
  --password-file FILE the password is its first line      [LINK_PASSWORD_FILE]
  --password PASSWORD  seen by everybody in ps: better set [LINK_PASSWORD]
  --json               the agent's JSON instead of a table
  -h, --help           this text, or with a command its own
  -V, --version        this program's version

Exit codes:
  0  done
  1  refused by the agent, or the output could not be written
  2  the command line makes no sense
  3  the agent has no such IP
  4  no connection to the agent, or no answer in time: it may have been done
  5  what answers is not LinK
  6  user or password missing or wrong
  7  the agent cannot use etcd and changed nothing
  8  status: something in the cluster needs a person; doctor: there are errors
  9  doctor: there are warnings, and no errors
  10 apply: something was changed, or with --dry-run is to be
";

/// The page of one command.
pub(super) fn of(verb: Verb) -> &'static str {
    match verb {
        Verb::Status => STATUS,
        Verb::Watch => WATCH,
        Verb::List => LIST,
        Verb::Show => SHOW,
        Verb::Add => ADD,
        Verb::Set => SET,
        Verb::Apply => APPLY,
        Verb::Delete => DELETE,
        Verb::Lock => LOCK,
        Verb::Failover => FAILOVER,
        Verb::Drain => DRAIN,
        Verb::Undrain => UNDRAIN,
        Verb::Fence => FENCE,
        Verb::Leave => LEAVE,
        Verb::Events => EVENTS,
        Verb::Doctor => DOCTOR,
        Verb::Version => VERSION,
    }
}

const STATUS: &str = "\
Show the cluster, as etcd has it and as the agent's host knows it. Exit code 0: all is
well; 8: something needs a person, and stands at the top.

Usage: linkctl status [--json]

STATE       gone: the host has no agent any more, and since when, if that was within an
            hour
LEASE       what is left of the host's lease, of what a renewal gives it
OFFERS      how many IPs the host offers, OWNS: how many it has
CANDIDATES  the hosts that offer the IP, and how many of them would take it now

What needs a person: an IP that nobody owns or with one candidate left, a host that is
gone, two hosts that may have an IP, two masks for one address, what the agent's host
reports at /health, values in etcd that cannot be understood, etcd itself.
";

const WATCH: &str = "\
Show the cluster as `linkctl status` does, anew every 2 seconds on a terminal, elsewhere
once for each change. Ctrl-C ends it.

Usage: linkctl watch [--json]
";

const LIST: &str = "\
List the IPs of the agent's host, ordered by IP, in 80 columns.

Usage: linkctl list [--wide | --json | --output FORM]

STATUS  ACTIVATED: this host owns the IP; STANDBY: it is a candidate; FAILING: its
        health checks fail, so it is not
OWNER   the host that holds the lock in etcd
BOUND   whether the address is on this host's interface
SINCE   how long the status has been what it is
GROUP   the group to which it is to belong, where an IP has one; in a narrow table only
        if it fits

  --wide         names in full, and interface, number of health checks and id, too
  --output FORM  table; wide: as --wide; commands: what a shell has to run to make another
                 host offer the same, with what is the agent's left to that agent
";

const SHOW: &str = "\
Show everything about an IP, the hosts that offer it included.

Usage: linkctl show IP|ID [--json]

Examples:
  linkctl show 10.20.30.40
  linkctl show 10.20.30.40/24
  linkctl show vip-6e5d9b1c-8c5b-4bb5-9a2d-6b6f3a1d1c0e
";

const ADD: &str = "\
Share an IP: the agent's host becomes a candidate for it.

Usage: linkctl add IP [--check CHECK]... [--interval SECONDS] [--interface NAME]
                   [--etcd-loss-policy POLICY] [--priority NUMBER] [--group NAME]
                   [--force] [--wait[=SECONDS]] [--json]
       linkctl add -f FILE [--force] [--wait[=SECONDS]] [--json]

  IP                   an address, or an address/mask; without one /32 or /128 is meant
  --check CHECK        the host is a candidate only while this is up; may be repeated:
                         HOST:PORT, tcp://HOST:PORT   a TCP port answers
                         http://HOST[:PORT]/PATH      a GET is answered with 2xx; with
                                                      ,status=200-399 with one of these
                         https://HOST[:PORT]/PATH     the same with TLS; ,cacert=FILE of the
                                                      agent, ,verify=false: anybody's
                         link://INTERFACE             an interface has a carrier
                         exec://NAME[?arg=A&arg=B]    a command from the agent's
                                                      CHECK_COMMANDS_DIR ends with 0
                       Behind each: ,fall=N failures in a row bring it down, ,rise=N
                       successes up; none: FAIL_COUNT_BEFORE_FAILOVER, RISE_COUNT
  --interval SECONDS   between two checks; 0 or none: the agent's default
  --interface NAME     where the IP is added; none: the agent's INTERFACE
  --etcd-loss-policy POLICY
                       when the host loses etcd: take the IP; probe: take it unless another
                       host answers for it; hold: leave it where it is; none: the agent's
                       ETCD_LOSS_POLICY
  --priority NUMBER    0 to 255: the host with the highest is first when the IP is free; no
                       IP moves for it; none: the agent's PRIORITY
  --group NAME         the IPs of a group have one owner, which has all of them: what keeps
                       a host from one keeps it from all
  --force              though a machine that does not share the IP answers for it
  --wait[=SECONDS]     return when the IP has an owner, this host or another; exit code 4 if
                       it has none within 30 s or so many
  -f, --file FILE      all IPs of a file, 1000 at most, or none; - is standard input. On
                       each line stands an IP, with the options above if it has any; what
                       follows a # is a comment. Or the JSON of `linkctl list --json`

Examples:
  linkctl add 10.20.30.40 --check 127.0.0.1:80 --interval 2
  linkctl add 10.20.30.40 --check http://127.0.0.1/up,fall=2 --check link://eth1,fall=1
  linkctl add -f /etc/link/ips --wait
";

const SET: &str = "\
Change what an IP says of itself. It stays where it is. What is not given stays, too.

Usage: linkctl set IP|ID [--check CHECK]... [--interval SECONDS]
                   [--etcd-loss-policy POLICY] [--priority NUMBER] [--group NAME] [--json]

  --check CHECK        as with `linkctl add`; these checks take the place of all that there
                       are; none: no check
  --interval SECONDS   between two checks; default: the agent's
  --etcd-loss-policy POLICY
                       take, probe or hold, as with `linkctl add`; default: the agent's
  --priority NUMBER    as with `linkctl add`; default: the agent's
  --group NAME         as with `linkctl add`; none: by itself

Example:
  linkctl set 10.20.30.40 --check 127.0.0.1:80 --check 127.0.0.1:443
";

const APPLY: &str = "\
Make the agent's host share exactly the IPs of a file, with exactly the settings that stand
there. IPs that are missing are added first; settings are changed where the IP is, and
nothing moves by that; what the file does not have is deleted last. An IP with another mask
or interface than before is deleted and added anew.

Usage: linkctl apply -f FILE [--dry-run] [--force] [--json]

  -f, --file FILE  as with `linkctl add`; - is standard input
  --dry-run        only tell what is to be done
  --force          as with `linkctl add`

Each line tells what is done: + added, ~ changed, - deleted, ! registered anew.

Exit code 0: all was so already; 10: something was changed, or with --dry-run is to be.
After an error, what was done before it stays: run it again.

Example:
  linkctl list --json > ips && linkctl --host h2 apply -f ips
";

const DELETE: &str = "\
Stop sharing an IP on the agent's host. Done when it is off the interface, and another
host has it if one offers it.

Usage: linkctl delete IP|ID [--json]
";

const LOCK: &str = "\
Try to become the owner of an IP now, and tell what came of it: this host owns it, or which
host holds it, or why nobody does. An owner that is well keeps it: `linkctl failover` there
hands it over.

Usage: linkctl lock IP|ID [--json]
";

const FAILOVER: &str = "\
Hand an IP to another host, with all of its group if it has one. Only its owner can do this.

Usage: linkctl failover IP|ID [--to HOST] [--json]

  --to HOST   the host that shall have it, by its name in etcd (see `linkctl show`);
              none: any that offers it
";

const DRAIN: &str = "\
Drain the agent's host: its IPs go to other hosts, and it is a candidate for none. An IP
that no other host can have stays. It lasts over restarts of the agent and the host.

Usage: linkctl drain [--for TIME] [--wait] [--json]

  --for TIME  how long it lasts (90s, 30m, 2h); none: until `linkctl undrain`
  --wait      return when other hosts have the IPs, within a minute; exit code 1 if an IP
              stays, because no other host can have it

Example:
  linkctl drain --for 30m --wait && reboot
";

const UNDRAIN: &str = "\
Let the agent's host be a candidate again. No IP moves by that.

Usage: linkctl undrain [--json]
";

const FENCE: &str = "\
Tell the others that a host is off: they take its IPs at once, and do not wait for its
lease to end. Any agent of the cluster can be told. It asks on the network and through
etcd first, and refuses for a host that answers.

Usage: linkctl fence HOST [--force [--yes]] [--json]

  HOST     the name of the host in etcd (see `linkctl status`)
  --force  do not ask whether the host lives. As long as it does, and has not seen that its
           lease is gone, two hosts have its IPs. Asks the user first
  --yes    do not ask the user

Example:
  linkctl fence host2     # after its power was cut
";

const LEAVE: &str = "\
Take the agent's host out of the cluster, before LinK is removed from it: each of its IPs
is handed over and then deleted, with what etcd and the host's local copy have of it. The
record of the host itself goes from etcd when its agent is stopped, unless an IP is added
before; a STOP_POLICY=keep keeps it. An IP that no other host would take is in the way:
nothing is changed then.

Usage: linkctl leave [--force] [--json]

  --force   though no other host would take an IP: it is gone from the network then

Example:
  linkctl leave && systemctl stop link
";

const EVENTS: &str = "\
Show what happened on the agent's host, oldest first: a line for each of the last 1000
events, with the time (UTC), the IP, what happened and why. A terminal shows 80 columns of
it; everything is in --json, and in a pipe.

Usage: linkctl events [--follow] [--json]

  -f, --follow   go on with what happens from now on, until Ctrl-C
  --json         the agent's JSON; with --follow, a line for each event

Example:
  linkctl events | grep 10.20.30.40
";

const DOCTOR: &str = "\
Look for what is wrong with the host on which this runs, and with its etcd: the agent and
its unit, its environment and the next start, interface, kernel parameters, firewall, the
programs that manage the interface, each endpoint of etcd, and what the agent knows of
the cluster. It changes nothing. Each finding says what to do. As root it sees more.

Usage: linkctl doctor [--env FILE] [--json]

  --env FILE  the agent's environment file, default /etc/link/link.env
  --json      the findings, each with level, about, text and remedy

Exit code 0: nothing was found; 9: warnings, 8: errors. Endpoints with https are asked
by curl.
";

const VERSION: &str = "\
Show the versions of this program and of the agent.

Usage: linkctl version [--json]
";
