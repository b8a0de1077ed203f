"""Black-box dataset inference on language models: did this model train on my dataset?"""
