# Sourced. npm puts node_modules/.bin first, and a package there has a program called nft that is not nftables.
PATH=$(printf %s "$PATH" | tr : '\n' | grep -v '/node_modules/\.bin$' | paste -sd : -)
export PATH
