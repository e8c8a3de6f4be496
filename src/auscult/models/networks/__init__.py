"""Network definitions: plain `nn.Module`s, without anything auscult knows about them."""
