# fish completion for aictl: asks `aictl __complete`, so it is as new as the program.
# SPDX-License-Identifier: MIT

function __aictl_complete
    set -l typed (commandline -opc) (commandline -ct)
    set -l program $typed[1]
    set -e typed[1]
    for line in ($program __complete -- $typed 2>/dev/null)
        switch $line
            case :nospace
            case :files
                set -l word (commandline -ct)
                set -l before (string match -r -- '^--[a-z-]+=' $word)
                set -l rest (string replace -r -- '^--[a-z-]+=' '' $word)
                for file in (__fish_complete_path $rest)
                    echo -- "$before$file"
                end
            case '*'
                echo -- $line
        end
    end
end

complete -c aictl -f -a '(__aictl_complete)'
