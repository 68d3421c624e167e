"""Parts that both HTTP programs use: errors, dialects, events, and the guards of a supervised process."""
