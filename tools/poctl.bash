# SPDX-License-Identifier: BSD-2-Clause
# Completion of poctl's command line for bash.

_poctl_options()
{
	local common="--help --json --quiet --version"

	case $1 in
	create) echo "--map-size-mib --owner --postoffice $common" ;;
	import) echo "--dry-run --owner --postoffice --skip-refused $common" ;;
	export) echo "--postoffice $common" ;;
	check | stat) echo "$common" ;;
	esac
}

_poctl()
{
	local word=${COMP_WORDS[COMP_CWORD]}
	local before=${COMP_WORDS[COMP_CWORD - 1]}

	COMPREPLY=()
	if ((COMP_CWORD == 1)); then
		mapfile -t COMPREPLY < <(compgen -W \
			"check create export import stat --help --version" -- "$word")
	elif [[ $before == --owner ]]; then
		mapfile -t COMPREPLY < <(compgen -u -- "$word")
	elif [[ $before == --postoffice || $before == --map-size-mib ]]; then
		return
	elif [[ $word == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W \
			"$(_poctl_options "${COMP_WORDS[1]}")" -- "$word")
	else
		mapfile -t COMPREPLY < <(compgen -d -- "$word")
	fi
}

complete -o filenames -F _poctl poctl
