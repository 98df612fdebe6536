"""Text for others: wg-quick files, nftables rules, graphs. Pure: values in, text out."""
