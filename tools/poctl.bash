# SPDX-License-Identifier: BSD-2-Clause
# Completion of poctl's command line for bash.

_poctl_options()
{
	local common="--help --json --quiet --version"

	case $1 in
	create) echo "--map-size-mib --owner --postoffice $common" ;;
	import) echo "--dry-run --owner --postoffice --skip-refused $common" ;;
	export) echo "--postoffice $common" ;;
	check | stat | status | sessions | locks | break) echo "$common" ;;
	esac
}

# The numbers of the sessions of a store's daemon.
_poctl_ids()
{
	poctl sessions --json "$1" 2>/dev/null | grep -Eo '"id":[0-9]+' |
		cut -d : -f 2
}

_poctl()
{
	local word=${COMP_WORDS[COMP_CWORD]}
	local before=${COMP_WORDS[COMP_CWORD - 1]}

	COMPREPLY=()
	if ((COMP_CWORD == 1)); then
		mapfile -t COMPREPLY < <(compgen -W \
			"break check create export import locks sessions stat status \
			--help --version" -- "$word")
	elif [[ $before == --owner ]]; then
		mapfile -t COMPREPLY < <(compgen -u -- "$word")
	elif [[ $before == --postoffice || $before == --map-size-mib ]]; then
		return
	elif [[ $word == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W \
			"$(_poctl_options "${COMP_WORDS[1]}")" -- "$word")
	elif [[ ${COMP_WORDS[1]} == break && $COMP_CWORD -eq 3 ]]; then
		mapfile -t COMPREPLY < <(compgen -W \
			"$(_poctl_ids "$before")" -- "$word")
	else
		mapfile -t COMPREPLY < <(compgen -d -- "$word")
	fi
}

complete -o filenames -F _poctl poctl
