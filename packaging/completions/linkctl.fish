# Completion of linkctl for fish: /usr/share/fish/vendor_completions.d/linkctl.fish

set -l commands status watch list show events doctor version add set apply delete failover lock drain undrain fence leave

# The IPs of the agent that the line names.
function __linkctl_ips
    set -l ask
    set -l words (commandline -opc)
    for place in (seq (count $words))
        if contains -- $words[$place] --host --cacert --user --password --password-file
            set -a ask $words[$place] $words[(math $place + 1)]
        end
    end
    linkctl $ask list --wide 2>/dev/null | string replace -r '\s.*' '' | string match -v IP
end

complete -c linkctl -f
complete -c linkctl -l host -x -a '(__fish_print_hostnames)' -d 'The agent, HOST or HOST:PORT'
complete -c linkctl -l cacert -r -F -d 'The authority of its certificate, with https://'
complete -c linkctl -l user -x -d 'When the agent has a password'
complete -c linkctl -l password-file -r -F -d 'Its first line is the password'
complete -c linkctl -l password -x -d 'Seen by everybody in ps'
complete -c linkctl -l json -d 'JSON instead of a table'
complete -c linkctl -s h -l help -d 'What there is to say'
complete -c linkctl -s V -l version -d 'The version of this program'

set -l none "not __fish_seen_subcommand_from $commands"
complete -c linkctl -n $none -a status -d 'The whole cluster, and what needs a person'
complete -c linkctl -n $none -a watch -d 'The same, again and again'
complete -c linkctl -n $none -a list -d 'The IPs of the host, and who owns them'
complete -c linkctl -n $none -a show -d 'Everything about one of them'
complete -c linkctl -n $none -a events -d 'What happened on the host, and why'
complete -c linkctl -n $none -a doctor -d 'What is wrong with this host and its etcd'
complete -c linkctl -n $none -a version -d 'The versions of agent and program'
complete -c linkctl -n $none -a add -d 'Share an IP'
complete -c linkctl -n $none -a set -d 'Change its checks or its policy'
complete -c linkctl -n $none -a apply -d 'Share exactly those in a file'
complete -c linkctl -n $none -a delete -d 'Stop sharing it on this host'
complete -c linkctl -n $none -a failover -d 'Hand it to another host'
complete -c linkctl -n $none -a lock -d 'Try to become its owner now'
complete -c linkctl -n $none -a drain -d 'Hand all IPs over and campaign for none'
complete -c linkctl -n $none -a undrain -d 'Be a candidate again'
complete -c linkctl -n $none -a fence -d 'Take the IPs of a host that is off'
complete -c linkctl -n $none -a leave -d 'Take this host out of the cluster'

complete -c linkctl -n '__fish_seen_subcommand_from show set delete failover lock' -a '(__linkctl_ips)'

complete -c linkctl -n '__fish_seen_subcommand_from add' -l check -x -d 'Only while this is up'
complete -c linkctl -n '__fish_seen_subcommand_from add' -l interval -x -d 'Seconds between two checks'
complete -c linkctl -n '__fish_seen_subcommand_from add' -l interface -x -a '(ls /sys/class/net)' -d 'Where it is added'
complete -c linkctl -n '__fish_seen_subcommand_from add' -l etcd-loss-policy -x -a 'take probe hold' -d 'When etcd is lost'
complete -c linkctl -n '__fish_seen_subcommand_from add set' -l group -x -d 'With which it has one owner'
complete -c linkctl -n '__fish_seen_subcommand_from add set' -l priority -x -d '0 to 255: who is first when it is free'
complete -c linkctl -n '__fish_seen_subcommand_from add' -l force -d 'Though another machine answers for it'
complete -c linkctl -n '__fish_seen_subcommand_from failover' -l to -x -a '(__fish_print_hostnames)' -d 'The host that shall have it'
complete -c linkctl -n '__fish_seen_subcommand_from fence' -l force -d 'Do not ask whether the host lives'
complete -c linkctl -n '__fish_seen_subcommand_from fence' -l yes -d 'Do not ask the user'
complete -c linkctl -n '__fish_seen_subcommand_from drain' -l for -x -d 'How long it lasts: 90s, 30m, 2h'
complete -c linkctl -n '__fish_seen_subcommand_from drain' -l wait -d 'Return when other hosts have the IPs'
complete -c linkctl -n '__fish_seen_subcommand_from list' -l wide -d 'Everything in full'
complete -c linkctl -n '__fish_seen_subcommand_from events' -s f -l follow -d 'Go on with what happens'
complete -c linkctl -n '__fish_seen_subcommand_from doctor' -l env -r -d 'The environment file of the agent'
complete -c linkctl -n '__fish_seen_subcommand_from add apply' -s f -l file -r -d 'All IPs of a file'
complete -c linkctl -n '__fish_seen_subcommand_from add' -l wait -d 'Return when it has an owner'
complete -c linkctl -n '__fish_seen_subcommand_from apply' -l dry-run -d 'Only tell what is to be done'
complete -c linkctl -n '__fish_seen_subcommand_from apply' -l force -d 'Though another machine answers for it'
complete -c linkctl -n '__fish_seen_subcommand_from set' -l check -x -a none -d 'These take the place of all'
complete -c linkctl -n '__fish_seen_subcommand_from set' -l interval -x -a default -d 'Seconds between two checks'
complete -c linkctl -n '__fish_seen_subcommand_from set' -l etcd-loss-policy -x -a 'take probe hold default' -d 'When etcd is lost'
complete -c linkctl -n '__fish_seen_subcommand_from list' -l output -x -a 'table wide commands' -d 'How'
