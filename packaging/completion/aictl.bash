# bash completion for aictl: asks `aictl __complete`, so it is as new as the program.
# SPDX-License-Identifier: MIT

_aictl() {
	local -a words=()
	local i word line glue=no files=no nospace=no

	# bash splits words at = and :, aictl does not.
	for ((i = 1; i <= COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		if [[ $glue == yes || ($word == [=:]* && ${#words[@]} -gt 0 && $COMP_WORDBREAKS == *"${word:0:1}"*) ]]; then
			words[-1]+=$word
		else
			words+=("$word")
		fi
		glue=no
		[[ $word != *[=:] || $COMP_WORDBREAKS != *"${word: -1}"* ]] || glue=yes
	done

	COMPREPLY=()
	while IFS= read -r line; do
		case $line in
		:files) files=yes ;;
		:nospace) nospace=yes ;;
		*) COMPREPLY+=("${line%%$'\t'*}") ;;
		esac
	done < <("${COMP_WORDS[0]/#\~/$HOME}" __complete -- "${words[@]}" 2>/dev/null)

	# What stands before the last break is on the line already.
	word=${words[-1]-}
	if [[ $word == *[=:]* ]]; then
		word=${word%"${word##*[=:]}"}
		[[ $COMP_WORDBREAKS != *"${word: -1}"* ]] || COMPREPLY=("${COMPREPLY[@]#"$word"}")
	fi
	if [[ $files == yes ]]; then
		compopt -o filenames
		mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "${COMP_WORDS[COMP_CWORD]#=}")
	fi
	[[ $nospace == no ]] || compopt -o nospace
}
complete -F _aictl aictl
