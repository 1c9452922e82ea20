# SPDX-License-Identifier: BSD-2-Clause
# Completion of poctl's command line for bash.

_poctl_options()
{
	local common="--help --json --quiet --version"

	case $1 in
	create) echo "--map-size-mib --owner --postoffice $common" ;;
	import) echo "--dry-run --owner --postoffice --skip-refused $common" ;;
	check) echo "--config --mail --postoffice $common" ;;
	message) echo "--config --hex --iso --postoffice $common" ;;
	queue) echo "--all --config --iso --kind --postoffice --reverse --sort
			--waiting $common" ;;
	learn) echo "--after --before --config --dry-run --mailbag --notes
		--postoffice --report --step $common" ;;
	explain) echo "--iso --since --window $common" ;;
	export) echo "--postoffice --salvage $common" ;;
	diff) echo "--postoffice $common" ;;
	repair) echo "--assumed --config --dry-run --postoffice $common" ;;
	reset) echo "--config --dry-run --force --snapshot $common" ;;
	rebuild) echo "--config --dry-run --keep --snapshot --stub-missing
		$common" ;;
	requeue) echo "--config --dry-run --snapshot --to-inqueue $common" ;;
	set-counter) echo "--auto --config --dry-run --letter --mailbag
		--postoffice --snapshot $common" ;;
	purge-orphans) echo "--attachments --config --dry-run --file --leftovers
		--older-than --only --postoffice --snapshot $common" ;;
	metrics) echo "--mailbags --output $common" ;;
	top) echo "--batch --delay $common" ;;
	log) echo "--follow --iso --mailbag --session --since --undone $common" ;;
	show) echo "--iso $common" ;;
	backup) echo "--compress --force $common" ;;
	verify) echo "--iso $common" ;;
	restore) echo "--at --force --keep-uuid --owner $common" ;;
	"trace start") echo "--peer $common" ;;
	"trace show") echo "--follow $common" ;;
	"quarantine list" | "quarantine show") echo "--iso $common" ;;
	set-owners) echo "--config --dry-run --snapshot $common" ;;
	undo) echo "--config --dry-run --snapshot $common" ;;
	*) echo "$common" ;;
	esac
}

# The numbers that command $1 takes after the store $2.
_poctl_ids()
{
	local list

	case $1 in
	break | trace*) list=sessions ;;
	queue | rebuild | requeue | reset)
		poctl queue --json "$2" 2>/dev/null |
			sed 's/},{/\n/g' | sed -nE \
			's|.*"postoffice":"([^"]*)","mailbag":"([^"]*)".*|\1/\2|p' |
			sed 's|^/||'
		return
		;;
	show | undo) list=log ;;
	"quarantine list") return ;;
	quarantine*) list="quarantine list" ;;
	*) return ;;
	esac
	# shellcheck disable=SC2086
	poctl $list --json "$2" 2>/dev/null | grep -Eo '"id":[0-9]+' |
		cut -d : -f 2
}

_poctl()
{
	local word=${COMP_WORDS[COMP_CWORD]}
	local before=${COMP_WORDS[COMP_CWORD - 1]}
	local command=${COMP_WORDS[1]}
	local store=2 # its place
	local words

	if [[ $command == quarantine || $command == trace ]]; then
		command+=" ${COMP_WORDS[2]}"
		store=3
	fi

	COMPREPLY=()
	if ((COMP_CWORD == 1)); then
		words="backup break check create diff explain export import learn locks
			log message metrics purge-orphans quarantine queue rebuild
			repair requeue reset restore sessions set-counter set-owners show stat status
			top trace undo verify --help --version"
	elif ((COMP_CWORD < store)); then
		words="discard list restore show"
		[[ $command == trace* ]] && words="show start stop"
	elif [[ $before == --owner ]]; then
		mapfile -t COMPREPLY < <(compgen -u -- "$word")
		return
	elif [[ $before == --kind ]]; then
		words="external gateway inqueue other system user"
	elif [[ $before == --only ]]; then
		words="attachments delivered envelopes leftovers messages"
	elif [[ $before == --step ]]; then
		words="first delete fill compress wide headers programs denials
			recipients"
	elif [[ $before == --output || $before == --config ]]; then
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
		return
	elif [[ " at batch delay file keep letter mailbag map-size-mib older-than \
		peer postoffice session since sort window " == *" ${before#--} "* ]]; then
		return
	elif [[ $word == -* ]]; then
		words=$(_poctl_options "$command")
	elif [[ $command == verify ||
		$command-$COMP_CWORD =~ ^(backup|restore)-[^2]$ ]]; then
		# The file of a backup.
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
		return
	elif ((COMP_CWORD == store + 1)); then
		words=$(_poctl_ids "$command" "$before")
	elif ((COMP_CWORD == store)) && [[ -n $POFS_STORE ]]; then
		words=$(_poctl_ids "$command" "$POFS_STORE")
	fi

	if [[ -n $words ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
	else
		mapfile -t COMPREPLY < <(compgen -d -- "$word")
	fi
}

complete -o filenames -F _poctl poctl
