"""What is read: tables, pictures, the HTML page and W&B, all of them views of rows and of nothing else."""
